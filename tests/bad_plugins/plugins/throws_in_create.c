/* create throws a std::runtime_error. */
#include "bad_plugin.h"

static int32_t create(const vd_host* host, vd_str name, vd_instance** out, vd_error* error) {
  bad_throw_runtime_error();
  return good_create(host, name, out, error);
}
BAD_LIFECYCLE("throws_in_create", .create = create)
