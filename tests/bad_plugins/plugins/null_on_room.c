/* Offers viaduct.submit/1 without on_room. */
#include "bad_plugin.h"

static void on_done(vd_instance* self, const vd_completion_list* completions) {
  (void)self, (void)completions;
}
static const vd_submit_1 table = {.on_done = on_done, .on_room = NULL};

static const void* query(vd_instance* self, vd_str id) {
  return equal(id, VD_SUBMIT_1) ? &table : good_query(self, id);
}
static const vd_str interfaces[] = {VD_STR_LITERAL(VD_DELIVER_1), VD_STR_LITERAL(VD_SUBMIT_1)};
static const vd_lifecycle_1 lifecycle = {GOOD_LIFECYCLE, .query = query};
BAD_MODULE("null_on_room", .lifecycle = &lifecycle, .interfaces = interfaces, .interface_count = 2)
