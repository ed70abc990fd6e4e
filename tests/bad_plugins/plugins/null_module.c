/* vd_module_entry gives NULL. */
#include "bad_plugin.h"

VD_EXPORT const vd_module* vd_module_entry(void) { return NULL; }
