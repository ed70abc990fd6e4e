/* stop throws. */
#include "bad_plugin.h"

static void stop(vd_instance* self) {
  (void)self;
  bad_throw_runtime_error();
}
BAD_LIFECYCLE("throws_in_stop", .stop = stop)
