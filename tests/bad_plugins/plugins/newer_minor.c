/* Needs a newer host. */
#include "bad_plugin.h"

BAD_MODULE("newer_minor", .abi_minor = 99, .min_host_minor = 99)
