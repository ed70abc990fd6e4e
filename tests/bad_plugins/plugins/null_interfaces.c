/* A count of interfaces without interfaces. */
#include "bad_plugin.h"

BAD_MODULE("null_interfaces", .interfaces = NULL, .interface_count = 3)
