/* A text that is NULL with a size. */
#include "bad_plugin.h"

BAD_MODULE("null_text", .summary = {NULL, 9})
