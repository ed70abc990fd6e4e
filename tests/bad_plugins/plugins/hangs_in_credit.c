/* credit never returns. */
#include "bad_plugin.h"

static uint32_t credit(vd_instance* self, uint32_t lane) {
  hang();
  return good_credit(self, lane);
}
BAD_DELIVER("hangs_in_credit", .credit = credit)
