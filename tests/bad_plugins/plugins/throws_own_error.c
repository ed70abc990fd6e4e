/* create throws a class of the plugin derived from std::exception. */
#include "bad_plugin.h"

static int32_t create(const vd_host* host, vd_str name, vd_instance** out, vd_error* error) {
  bad_throw_own_error();
  return good_create(host, name, out, error);
}
BAD_LIFECYCLE("throws_own_error", .create = create)
