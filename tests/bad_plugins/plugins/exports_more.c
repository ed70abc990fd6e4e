/* Exports a second symbol, which binds to whoever loads it. */
#include "bad_plugin.h"

VD_EXPORT int leaked_symbol;
int leaked_symbol = 1;
BAD_MODULE("exports_more", .max_lanes = 1)
