/* create fails with texts that do not end and are not UTF-8. */
#include "bad_plugin.h"

static int32_t create(const vd_host* host, vd_str name, vd_instance** out, vd_error* error) {
  (void)host, (void)name, (void)out;
  if (error != NULL) {
    error->code = VD_INTERNAL;
    memset(error->pointer, 0xff, sizeof(error->pointer));
    memset(error->message, 0xc3, sizeof(error->message));
  }
  return VD_INTERNAL;
}
BAD_LIFECYCLE("unterminated_error", .create = create)
