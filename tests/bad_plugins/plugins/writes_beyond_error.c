/* create fails and writes behind the caller's vd_error. */
#include "bad_plugin.h"

static int32_t create(const vd_host* host, vd_str name, vd_instance** out, vd_error* error) {
  (void)host, (void)name, (void)out;
  memset(error->message, 'x', sizeof(error->message) + 8);
  error->code = VD_INTERNAL;
  return VD_INTERNAL;
}
BAD_LIFECYCLE("writes_beyond_error", .create = create)
