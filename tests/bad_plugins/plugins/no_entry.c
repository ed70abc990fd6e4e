/* A library without vd_module_entry. */
#include "bad_plugin.h"

VD_EXPORT int nothing_of_use(void);
int nothing_of_use(void) { return 0; }
