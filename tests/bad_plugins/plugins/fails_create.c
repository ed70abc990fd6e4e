/* create fails, as it may. */
#include "bad_plugin.h"

static int32_t create(const vd_host* host, vd_str name, vd_instance** out, vd_error* error) {
  (void)host, (void)name, (void)out;
  return fail(error, VD_RESOURCE_EXHAUSTED, "", "fails_create: no memory, on purpose");
}
BAD_LIFECYCLE("fails_create", .create = create)
