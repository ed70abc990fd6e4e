/* Starts a thread when it is loaded. */
#include "bad_plugin.h"

static pthread_t thread;
static void* run(void* user) {
  hang();
  return user;
}
static __attribute__((constructor)) void on_load(void) { pthread_create(&thread, NULL, run, NULL); }
BAD_MODULE("starts_thread_when_loaded", .max_lanes = 1)
