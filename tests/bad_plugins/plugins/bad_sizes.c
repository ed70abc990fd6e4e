/* Gives the host records that are too small and texts that are NULL. */
#include "bad_plugin.h"

static int32_t deliver(vd_instance* self, uint32_t lane, const vd_message_list* batch,
                       uint64_t* taken) {
  vd_completion completion = {.struct_size = 4};
  const vd_completion_list lists[] = {
      {&completion, 4, 1},
      {NULL, sizeof(completion), 1},
      {&completion, sizeof(completion), 1},
  };
  for (unsigned i = 0; i < sizeof(lists) / sizeof(lists[0]); ++i) {
    self->deliver->complete(self->host, &lists[i]);
  }
  completion.struct_size = sizeof(completion);
  completion.token = message_at(batch, 0)->token;
  completion.outcome = VD_OUTCOME_RETRY;
  completion.code = VD_UNAVAILABLE;
  completion.detail.size = 5;
  self->deliver->complete(self->host, &lists[2]);
  self->deliver->complete(self->host, NULL);
  return good_deliver(self, lane, batch, taken);
}
BAD_DELIVER("bad_sizes", .deliver = deliver)
