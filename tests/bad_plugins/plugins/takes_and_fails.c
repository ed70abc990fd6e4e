/* Fails and says that it took something. */
#include "bad_plugin.h"

static int32_t deliver(vd_instance* self, uint32_t lane, const vd_message_list* batch,
                       uint64_t* taken) {
  (void)self, (void)lane;
  *taken = batch->count;
  return VD_UNAVAILABLE;
}
BAD_DELIVER("takes_and_fails", .deliver = deliver)
