/* Another name than its file. */
#include "bad_plugin.h"

BAD_MODULE("something_else", .max_lanes = 1)
