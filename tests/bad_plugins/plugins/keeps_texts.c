/* Reads a message after deliver has returned. */
#include "bad_plugin.h"

static int32_t deliver(vd_instance* self, uint32_t lane, const vd_message_list* batch,
                       uint64_t* taken) {
  volatile char first = 0;
  if (self->kept.envelope.size > 0) first = self->kept.envelope.data[0];
  (void)first;
  if (batch->count > 0) self->kept = *message_at(batch, 0);
  return good_deliver(self, lane, batch, taken);
}
BAD_DELIVER("keeps_texts", .deliver = deliver)
