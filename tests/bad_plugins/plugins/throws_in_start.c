/* start throws. */
#include "bad_plugin.h"

static int32_t start(vd_instance* self, uint32_t lanes, vd_error* error) {
  bad_throw_runtime_error();
  return good_start(self, lanes, error);
}
BAD_LIFECYCLE("throws_in_start", .start = start)
