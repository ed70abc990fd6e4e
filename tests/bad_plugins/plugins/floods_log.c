/* Logs as fast as it can. */
#include "bad_plugin.h"

static int32_t start(vd_instance* self, uint32_t lanes, vd_error* error) {
  const vd_host_log_1* log = self->host->query(self->host, text(VD_HOST_LOG_1));
  (void)lanes, (void)error;
  for (int i = 0; i < 20000; ++i) {
    log->write(self->host, VD_LOG_INFO, text("floods_log: again"), NULL, 0);
  }
  return VD_OK;
}
BAD_LIFECYCLE("floods_log", .start = start)
