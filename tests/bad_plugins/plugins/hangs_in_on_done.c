/* on_done never returns; deliver, which submits a message, does not end what it takes either. */
#include "bad_plugin.h"

static int32_t deliver(vd_instance* self, uint32_t lane, const vd_message_list* batch,
                       uint64_t* taken) {
  const vd_host_submit_1* submit = self->host->query(self->host, text(VD_HOST_SUBMIT_1));
  vd_inbound message = {.struct_size = sizeof(message), .token = 1};
  vd_inbound_list list = {&message, sizeof(message), 1};
  uint64_t submitted = 0;
  message.route = text("/api/detection");
  *taken = batch->count;
  return submit->submit(self->host, lane, &list, &submitted);
}
static void on_done(vd_instance* self, const vd_completion_list* completions) {
  (void)self, (void)completions;
  hang();
}
static void on_room(vd_instance* self, uint32_t lane) { (void)self, (void)lane; }

static const vd_deliver_1 deliver_table = {GOOD_DELIVER, .deliver = deliver};
static const vd_submit_1 submit_table = {.on_done = on_done, .on_room = on_room};

static const void* query(vd_instance* self, vd_str id) {
  (void)self;
  if (equal(id, VD_DELIVER_1)) return &deliver_table;
  return equal(id, VD_SUBMIT_1) ? &submit_table : NULL;
}
static const vd_str interfaces[] = {VD_STR_LITERAL(VD_DELIVER_1), VD_STR_LITERAL(VD_SUBMIT_1)};
static const vd_lifecycle_1 lifecycle = {GOOD_LIFECYCLE, .query = query};
BAD_MODULE("hangs_in_on_done", .lifecycle = &lifecycle, .interfaces = interfaces,
           .interface_count = 2)
