/* configure names what is wrong. */
#include "bad_plugin.h"

static int32_t configure(vd_instance* self, const vd_config* config, vd_error* error) {
  (void)self, (void)config;
  return fail(error, VD_INVALID_ARGUMENT, "/delay_ms", "fails_configure: delay_ms is odd, 0");
}
BAD_LIFECYCLE("fails_configure", .configure = configure)
