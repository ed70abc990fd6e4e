/* drain never returns. */
#include "bad_plugin.h"

static int32_t drain(vd_instance* self, int64_t deadline_ns, vd_error* error) {
  hang();
  return good_drain(self, deadline_ns, error);
}
BAD_LIFECYCLE("hangs_in_drain", .drain = drain)
