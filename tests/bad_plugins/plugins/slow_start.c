/* start takes as long as the config says. */
#include "bad_plugin.h"

static long delay_ms;
static int32_t configure(vd_instance* self, const vd_config* config, vd_error* error) {
  const vd_host_config_1* table = self->host->query(self->host, text(VD_HOST_CONFIG_1));
  int64_t value = 0;
  (void)error;
  if (table->get_integer(config, text("/delay_ms"), &value) == VD_OK) delay_ms = (long)value;
  return VD_OK;
}
static int32_t start(vd_instance* self, uint32_t lanes, vd_error* error) {
  (void)self, (void)lanes, (void)error;
  sleep_ms(delay_ms);
  return VD_OK;
}
BAD_LIFECYCLE("slow_start", .configure = configure, .start = start)
