/* Hangs in a constructor of the library. */
#include "bad_plugin.h"

static __attribute__((constructor)) void on_load(void) { hang(); }
BAD_MODULE("hangs_when_loaded", .max_lanes = 1)
