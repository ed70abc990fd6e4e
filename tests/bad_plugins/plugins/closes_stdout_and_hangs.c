/* Hangs in a constructor of the library, with the way its verdict would take closed. */
#include "bad_plugin.h"

static __attribute__((constructor)) void on_load(void) {
  close(STDOUT_FILENO);
  hang();
}
BAD_MODULE("closes_stdout_and_hangs", .max_lanes = 1)
