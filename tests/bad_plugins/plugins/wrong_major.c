/* Built for another major version of the ABI. */
#include "bad_plugin.h"

BAD_MODULE("wrong_major", .abi_major = VD_ABI_MAJOR + 1)
