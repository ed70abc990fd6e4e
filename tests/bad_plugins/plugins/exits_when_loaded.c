/* Ends the process in a constructor of the library. */
#include "bad_plugin.h"

static __attribute__((constructor)) void on_load(void) { _exit(7); }
BAD_MODULE("exits_when_loaded", .max_lanes = 1)
