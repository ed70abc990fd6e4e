/* stop never returns. */
#include "bad_plugin.h"

static void stop(vd_instance* self) {
  (void)self;
  hang();
}
BAD_LIFECYCLE("hangs_in_stop", .stop = stop)
