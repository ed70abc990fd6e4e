/* create uses a service that is there only from start on. */
#include "bad_plugin.h"

static int32_t create(const vd_host* host, vd_str name, vd_instance** out, vd_error* error) {
  const vd_host_health_1* health = host->query(host, text(VD_HOST_HEALTH_1));
  if (health != NULL) health->set(host, VD_HEALTH_HEALTHY, text(""));
  return good_create(host, name, out, error);
}
BAD_LIFECYCLE("calls_too_early", .create = create)
