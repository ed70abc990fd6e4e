/* A text that is far too long. */
#include "bad_plugin.h"

static const char good_schema_filling[100000] = "x";
BAD_MODULE("long_text", .summary = {good_schema_filling, sizeof(good_schema_filling)})
