/* A vd_module that is smaller than any ever was. */
#include "bad_plugin.h"

BAD_MODULE("small_module", .struct_size = 16)
