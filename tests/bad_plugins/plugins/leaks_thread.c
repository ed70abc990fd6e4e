/* stop leaves a thread behind. */
#include "bad_plugin.h"

static void* run(void* user) {
  hang();
  return user;
}
static int32_t start(vd_instance* self, uint32_t lanes, vd_error* error) {
  (void)lanes, (void)error;
  return pthread_create(&self->thread, NULL, run, NULL) == 0 ? VD_OK : VD_INTERNAL;
}
BAD_LIFECYCLE("leaks_thread", .start = start)
