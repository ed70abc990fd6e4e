/* start fails, as it may. */
#include "bad_plugin.h"

static int32_t start(vd_instance* self, uint32_t lanes, vd_error* error) {
  (void)self, (void)lanes;
  return fail(error, VD_UNAVAILABLE, "", "fails_start: port 80 is taken, on purpose");
}
BAD_LIFECYCLE("fails_start", .start = start)
