/* A schema that is a list. */
#include "bad_plugin.h"

BAD_MODULE("schema_not_object", .config_schema = VD_STR_LITERAL("[]"))
