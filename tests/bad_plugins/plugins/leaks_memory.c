/* destroy frees nothing. */
#include "bad_plugin.h"

static void destroy(vd_instance* self) { self->running = 0; }
BAD_LIFECYCLE("leaks_memory", .destroy = destroy)
