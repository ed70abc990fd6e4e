/* Says that it took more than there was. */
#include "bad_plugin.h"

static int32_t deliver(vd_instance* self, uint32_t lane, const vd_message_list* batch,
                       uint64_t* taken) {
  const int32_t code = good_deliver(self, lane, batch, taken);
  *taken = batch->count + 5;
  return code;
}
BAD_DELIVER("takes_too_much", .deliver = deliver)
