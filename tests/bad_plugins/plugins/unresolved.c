/* Wants a symbol that nobody has. */
#include "bad_plugin.h"

void viaduct_nobody_has_this(void);
static int32_t create(const vd_host* host, vd_str name, vd_instance** out, vd_error* error) {
  viaduct_nobody_has_this();
  return good_create(host, name, out, error);
}
BAD_LIFECYCLE("unresolved", .create = create)
