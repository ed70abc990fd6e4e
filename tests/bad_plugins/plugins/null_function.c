/* A life cycle without start and stop. */
#include "bad_plugin.h"

BAD_LIFECYCLE("null_function", .start = NULL, .stop = NULL)
