/* Crashes in vd_module_entry. */
#include "bad_plugin.h"

VD_EXPORT const vd_module* vd_module_entry(void) {
  crash();
  return NULL;
}
