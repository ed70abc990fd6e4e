/* Offers an interface that its description does not list. */
#include "bad_plugin.h"

BAD_MODULE("unlisted_interface", .interfaces = NULL, .interface_count = 0)
