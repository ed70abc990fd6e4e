/* create throws what is no exception class. */
#include "bad_plugin.h"

static int32_t create(const vd_host* host, vd_str name, vd_instance** out, vd_error* error) {
  bad_throw_int();
  return good_create(host, name, out, error);
}
BAD_LIFECYCLE("throws_int", .create = create)
