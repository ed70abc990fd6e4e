/* Starts a thread when it is loaded. The thread runs in libc only: one that had still to enter this
 * library's code when that is unloaded would crash, and hide what is to be found. */
#include <semaphore.h>

#include "bad_plugin.h"

static __attribute__((constructor)) void on_load(void) {
  pthread_t thread;
  sem_t* never = malloc(sizeof *never);
  sem_init(never, 0, 0);
  pthread_create(&thread, NULL, (void* (*)(void*))(void (*)(void))sem_wait, never);
}
BAD_MODULE("starts_thread_when_loaded", .max_lanes = 1)
