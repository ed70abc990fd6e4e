/* Takes messages and never ends them, not even in stop. */
#include "bad_plugin.h"

static int32_t deliver(vd_instance* self, uint32_t lane, const vd_message_list* batch,
                       uint64_t* taken) {
  (void)self, (void)lane;
  *taken = batch->count;
  return VD_OK;
}
BAD_DELIVER("completes_never", .deliver = deliver)
