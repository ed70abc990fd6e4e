/* create fails with a code that does not exist, and leaves vd_error alone. */
#include "bad_plugin.h"

static int32_t create(const vd_host* host, vd_str name, vd_instance** out, vd_error* error) {
  (void)host, (void)name, (void)out, (void)error;
  return 4711;
}
BAD_LIFECYCLE("unknown_code", .create = create)
