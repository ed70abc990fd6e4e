/* No life cycle. */
#include "bad_plugin.h"

BAD_MODULE("null_lifecycle", .lifecycle = NULL)
