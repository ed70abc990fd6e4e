/* A schema with an unknown type and a default that does not fit. */
#include "bad_plugin.h"

BAD_MODULE("schema_not_sound",
           .config_schema = VD_STR_LITERAL(
               "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"port\":"
               "{\"type\":\"integer\",\"description\":\"A port.\",\"default\":\"many\"}}}"))
