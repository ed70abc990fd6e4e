/* Ends every message twice. */
#include "bad_plugin.h"

static int32_t deliver(vd_instance* self, uint32_t lane, const vd_message_list* batch,
                       uint64_t* taken) {
  (void)lane;
  *taken = batch->count;
  for (uint64_t i = 0; i < batch->count; ++i) {
    end(self, message_at(batch, i)->token, VD_OUTCOME_DURABLE, VD_OK);
    end(self, message_at(batch, i)->token, VD_OUTCOME_RETRY, VD_UNAVAILABLE);
  }
  return VD_OK;
}
BAD_DELIVER("completes_twice", .deliver = deliver)
