/* Throws in a constructor of the library. */
#include "bad_plugin.h"

static __attribute__((constructor)) void on_load(void) { bad_throw_runtime_error(); }
BAD_MODULE("throws_when_loaded", .max_lanes = 1)
