/* A thread of it goes on calling the host after stop. */
#include "bad_plugin.h"

static void* run(void* user) {
  const vd_host* host = user; /* Not the instance, whose memory may be gone before this begins. */
  const vd_host_health_1* health = host->query(host, text(VD_HOST_HEALTH_1));
  for (;;) {
    health->set(host, VD_HEALTH_DEGRADED, text("still here"));
    sleep_ms(1);
  }
  return NULL;
}
static int32_t start(vd_instance* self, uint32_t lanes, vd_error* error) {
  (void)lanes, (void)error;
  if (pthread_create(&self->thread, NULL, run, (void*)self->host) != 0) return VD_INTERNAL;
  pthread_detach(self->thread);
  return VD_OK;
}
BAD_LIFECYCLE("calls_after_stop", .start = start)
