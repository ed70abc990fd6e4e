/* Nothing is wrong with this one: the base of the others. */
#include "bad_plugin.h"

BAD_MODULE("good", .max_lanes = 1)
