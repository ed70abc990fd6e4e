/* create says VD_OK and gives no instance. */
#include "bad_plugin.h"

static int32_t create(const vd_host* host, vd_str name, vd_instance** out, vd_error* error) {
  (void)host, (void)name, (void)error;
  *out = NULL;
  return VD_OK;
}
BAD_LIFECYCLE("creates_nothing", .create = create)
