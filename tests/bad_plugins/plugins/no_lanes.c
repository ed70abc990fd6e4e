/* No lane. */
#include "bad_plugin.h"

BAD_MODULE("no_lanes", .max_lanes = 0)
