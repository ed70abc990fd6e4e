/*
 * A plugin that takes every message and confirms it at once: what a delivery through it costs is
 * the host's own share (link_benchmark).
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "viaduct/abi/abi.h"

#define MAX_BATCH 256

struct vd_instance {
  const vd_host* host;
  const vd_host_deliver_1* deliver;
  vd_completion completions[MAX_BATCH];
};

static int32_t create(const vd_host* host, vd_str name, vd_instance** out, vd_error* error) {
  vd_instance* self = calloc(1, sizeof(*self));
  (void)name, (void)error;
  if (self == NULL) return VD_RESOURCE_EXHAUSTED;
  self->host = host;
  self->deliver = host->query(host, (vd_str)VD_STR_LITERAL(VD_HOST_DELIVER_1));
  for (int i = 0; i < MAX_BATCH; ++i) {
    self->completions[i].struct_size = sizeof(vd_completion);
    self->completions[i].outcome = VD_OUTCOME_DURABLE;
  }
  *out = self;
  return VD_OK;
}
static int32_t configure(vd_instance* self, const vd_config* config, vd_error* error) {
  (void)self, (void)config, (void)error;
  return VD_OK;
}
static int32_t start(vd_instance* self, uint32_t lanes, vd_error* error) {
  (void)self, (void)lanes, (void)error;
  return VD_OK;
}
static int32_t drain(vd_instance* self, int64_t deadline_ns, vd_error* error) {
  (void)self, (void)deadline_ns, (void)error;
  return VD_OK;
}
static void stop(vd_instance* self) { (void)self; }
static void destroy(vd_instance* self) { free(self); }

static uint32_t credit(vd_instance* self, uint32_t lane) {
  (void)self, (void)lane;
  return MAX_BATCH;
}
static int32_t deliver(vd_instance* self, uint32_t lane, const vd_message_list* batch,
                       uint64_t* taken) {
  const uint64_t count = batch->count < MAX_BATCH ? batch->count : MAX_BATCH;
  (void)lane;
  for (uint64_t i = 0; i < count; ++i) self->completions[i].token = batch->items[i].token;
  const vd_completion_list done = {self->completions, sizeof(vd_completion), count};
  self->deliver->complete(self->host, &done);
  *taken = count;
  return VD_OK;
}
static void cancel(vd_instance* self, uint32_t lane, const uint64_t* tokens, uint64_t count) {
  (void)self, (void)lane, (void)tokens, (void)count;
}

static const void* query(vd_instance* self, vd_str id) {
  static const vd_deliver_1 table = {credit, deliver, cancel};
  (void)self;
  if (id.size == strlen(VD_DELIVER_1) && memcmp(id.data, VD_DELIVER_1, id.size) == 0) {
    return &table;
  }
  return NULL;
}

const vd_module* vd_module_entry(void) {
  static const vd_lifecycle_1 lifecycle = {create, configure, start, drain, stop, destroy, query};
  static const vd_str interfaces[] = {VD_STR_LITERAL(VD_DELIVER_1)};
  static const vd_module module = {sizeof(vd_module),
                                   VD_ABI_MAJOR,
                                   VD_ABI_MINOR,
                                   0,
                                   0,
                                   1,
                                   VD_STR_LITERAL("quick"),
                                   VD_STR_LITERAL("1.0.0"),
                                   VD_STR_LITERAL("Confirms at once"),
                                   VD_STR_LITERAL("Apache-2.0"),
                                   VD_STR_LITERAL("{}"),
                                   interfaces,
                                   1,
                                   &lifecycle};
  return &module;
}
