/* Crashes in a constructor of the library. */
#include "bad_plugin.h"

static __attribute__((constructor)) void on_load(void) { crash(); }
BAD_MODULE("crashes_when_loaded", .max_lanes = 1)
