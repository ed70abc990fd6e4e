/* A name that is none. */
#include "bad_plugin.h"

BAD_MODULE("Bad-Name", .max_lanes = 1)
