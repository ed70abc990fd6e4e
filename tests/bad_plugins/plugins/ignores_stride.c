/* Reads the batch as if the host's records were as large as its own. */
#include "bad_plugin.h"

static int32_t deliver(vd_instance* self, uint32_t lane, const vd_message_list* batch,
                       uint64_t* taken) {
  (void)lane;
  *taken = batch->count;
  for (uint64_t i = 0; i < batch->count; ++i) {
    end(self, batch->items[i].token, VD_OUTCOME_DURABLE, VD_OK);
  }
  return VD_OK;
}
BAD_DELIVER("ignores_stride", .deliver = deliver)
