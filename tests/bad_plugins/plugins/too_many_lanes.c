/* More lanes than there may be. */
#include "bad_plugin.h"

BAD_MODULE("too_many_lanes", .max_lanes = 65)
