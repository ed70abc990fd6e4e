/* stop leaves a descriptor open. */
#include "bad_plugin.h"

static int32_t start(vd_instance* self, uint32_t lanes, vd_error* error) {
  (void)self, (void)lanes, (void)error;
  return dup(0) < 0 ? VD_INTERNAL : VD_OK;
}
BAD_LIFECYCLE("leaks_descriptor", .start = start)
