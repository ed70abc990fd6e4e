/* No schema. */
#include "bad_plugin.h"

BAD_MODULE("schema_missing", .config_schema = {NULL, 0})
