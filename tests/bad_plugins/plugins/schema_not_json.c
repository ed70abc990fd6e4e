/* A schema that is not JSON. */
#include "bad_plugin.h"

BAD_MODULE("schema_not_json", .config_schema = VD_STR_LITERAL("{\"type\": \"object\""))
