/* create crashes. */
#include "bad_plugin.h"

static int32_t create(const vd_host* host, vd_str name, vd_instance** out, vd_error* error) {
  crash();
  return good_create(host, name, out, error);
}
BAD_LIFECYCLE("crashes_in_create", .create = create)
