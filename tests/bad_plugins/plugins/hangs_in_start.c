/* start never returns. */
#include "bad_plugin.h"

static int32_t start(vd_instance* self, uint32_t lanes, vd_error* error) {
  hang();
  return good_start(self, lanes, error);
}
BAD_LIFECYCLE("hangs_in_start", .start = start)
