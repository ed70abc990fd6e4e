/* No version. */
#include "bad_plugin.h"

BAD_MODULE("empty_version", .version = {NULL, 0})
