/* deliver throws. */
#include "bad_plugin.h"

static int32_t deliver(vd_instance* self, uint32_t lane, const vd_message_list* batch,
                       uint64_t* taken) {
  bad_throw_runtime_error();
  return good_deliver(self, lane, batch, taken);
}
BAD_DELIVER("throws_in_deliver", .deliver = deliver)
