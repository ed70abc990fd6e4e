/* start fails with a reason that is not UTF-8. */
#include "bad_plugin.h"

static int32_t start(vd_instance* self, uint32_t lanes, vd_error* error) {
  (void)self, (void)lanes;
  return fail(error, VD_UNAVAILABLE, "", "the port is \xff\xc3, on purpose");
}
BAD_LIFECYCLE("reason_not_utf8", .start = start)
