/*
 * A plugin in plain C11, without any library: it counts every message and says that it is stored.
 * For the measurement of a host, and to show that the ABI needs no C++.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "c_counter_config_schema.h"
#include "viaduct/abi/abi.h"

/* Completions are told in groups of this many. */
#define GROUP 64

/* The plugin's own meaning of the ABI's opaque type. */
struct vd_instance {
  const vd_host* host;
  const vd_host_config_1* config;
  const vd_host_deliver_1* deliver;
  const vd_host_health_1* health;
  const vd_host_metrics_1* metrics;
  uint32_t counted; /* the metric's number, 0: none */
  int64_t reject_every;
  atomic_uint_fast64_t count;
};

static vd_str text(const char* terminated) {
  vd_str out;
  out.data = terminated;
  out.size = strlen(terminated);
  return out;
}

static int equal(vd_str a, vd_str b) {
  return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, (size_t)a.size) == 0);
}

/* Fills what the caller wants to know, as far as the caller's vd_error reaches. */
static int32_t fail(vd_error* error, int32_t code, const char* pointer, const char* message) {
  vd_error mine;
  if (error == NULL) return code;
  memset(&mine, 0, sizeof(mine));
  mine.struct_size = error->struct_size;
  mine.code = code;
  snprintf(mine.pointer, sizeof(mine.pointer), "%s", pointer);
  snprintf(mine.message, sizeof(mine.message), "%s", message);
  memcpy(error, &mine, error->struct_size < sizeof(mine) ? error->struct_size : sizeof(mine));
  return code;
}

/* ---- life cycle ------------------------------------------------------------------------------ */

static int32_t create(const vd_host* host, vd_str name, vd_instance** out, vd_error* error) {
  vd_instance* self = calloc(1, sizeof(*self));
  (void)name;
  if (self == NULL) return fail(error, VD_RESOURCE_EXHAUSTED, "", "c_counter: out of memory");
  self->host = host;
  self->config = host->query(host, text(VD_HOST_CONFIG_1));
  self->deliver = host->query(host, text(VD_HOST_DELIVER_1));
  self->health = host->query(host, text(VD_HOST_HEALTH_1));
  self->metrics = host->query(host, text(VD_HOST_METRICS_1));
  atomic_init(&self->count, 0);
  *out = self;
  return VD_OK;
}

static int32_t configure(vd_instance* self, const vd_config* config, vd_error* error) {
  if (self->config == NULL || self->deliver == NULL) {
    return fail(error, VD_FAILED_PRECONDITION, "", "c_counter: the host offers too little");
  }
  if (self->config->get_integer(config, text("/reject_every"), &self->reject_every) != VD_OK ||
      self->reject_every < 0) {
    return fail(error, VD_INVALID_ARGUMENT, "/reject_every",
                "c_counter: reject_every is no number from 0 on");
  }
  if (self->metrics != NULL) {
    vd_metric metric;
    memset(&metric, 0, sizeof(metric));
    metric.struct_size = sizeof(metric);
    metric.kind = VD_METRIC_COUNTER;
    metric.name = text("messages_counted");
    metric.help = text("Messages that were counted.");
    if (self->metrics->add(self->host, &metric, &self->counted) != VD_OK) self->counted = 0;
  }
  return VD_OK;
}

static int32_t start(vd_instance* self, uint32_t lane_count, vd_error* error) {
  (void)lane_count;
  (void)error;
  if (self->health != NULL) self->health->set(self->host, VD_HEALTH_HEALTHY, text(""));
  return VD_OK;
}

/* Nothing is ever in flight: every message has ended when deliver returns. */
static int32_t drain(vd_instance* self, int64_t deadline_ns, vd_error* error) {
  (void)self;
  (void)deadline_ns;
  (void)error;
  return VD_OK;
}

static void stop(vd_instance* self) { (void)self; }

static void destroy(vd_instance* self) { free(self); }

/* ---- viaduct.deliver/1 ----------------------------------------------------------------------- */

static uint32_t credit(vd_instance* self, uint32_t lane) {
  (void)self;
  (void)lane;
  return 1024;
}

static void judge(vd_instance* self, const vd_message* message, vd_completion* out) {
  const uint64_t number = atomic_fetch_add(&self->count, 1) + 1;
  memset(out, 0, sizeof(*out));
  out->struct_size = sizeof(*out);
  out->token = message->token;
  out->outcome = VD_OUTCOME_DURABLE;
  if (self->reject_every > 0 && number % (uint64_t)self->reject_every == 0) {
    out->outcome = VD_OUTCOME_REJECT;
    out->code = VD_INVALID_ARGUMENT;
    out->detail = text("c_counter: rejected, as configured");
  }
}

static int32_t deliver(vd_instance* self, uint32_t lane, const vd_message_list* batch,
                       uint64_t* taken) {
  vd_completion group[GROUP];
  vd_completion_list list;
  uint64_t i;
  const uint64_t most = credit(self, lane);
  *taken = batch->count < most ? batch->count : most;
  list.items = group;
  list.stride = sizeof(group[0]);
  list.count = 0;
  for (i = 0; i < *taken; ++i) {
    /* The host's vd_message may be larger than ours: step by the stride. */
    judge(self, (const vd_message*)((const char*)batch->items + i * batch->stride),
          &group[list.count++]);
    if (list.count == GROUP || i + 1 == *taken) {
      self->deliver->complete(self->host, &list);
      list.count = 0;
    }
  }
  if (self->counted != 0) {
    self->metrics->increase(self->host, self->counted, (double)*taken);
  }
  return VD_OK;
}

static void cancel(vd_instance* self, uint32_t lane, const uint64_t* tokens, uint64_t count) {
  (void)self;
  (void)lane;
  (void)tokens;
  (void)count;
}

/* ---- the module ------------------------------------------------------------------------------ */

static const void* query(vd_instance* self, vd_str id) {
  static const vd_deliver_1 kDeliver = {credit, deliver, cancel};
  (void)self;
  return equal(id, text(VD_DELIVER_1)) ? &kDeliver : NULL;
}

VD_EXPORT const vd_module* vd_module_entry(void) {
  static const vd_lifecycle_1 kLifecycle = {create, configure, start, drain, stop, destroy, query};
  static const vd_str kInterfaces[] = {VD_STR_LITERAL(VD_DELIVER_1)};
  static const vd_module kModule = {
      sizeof(vd_module),
      VD_ABI_MAJOR,
      VD_ABI_MINOR,
      0, /* min_host_minor */
      0,
      4, /* max_lanes */
      VD_STR_LITERAL("c_counter"),
      VD_STR_LITERAL("1.0.0"),
      VD_STR_LITERAL("Counts messages, in plain C"),
      VD_STR_LITERAL("Apache-2.0"),
      {c_counter_config_schema, C_COUNTER_CONFIG_SCHEMA_SIZE},
      kInterfaces,
      1,
      &kLifecycle,
  };
  return &kModule;
}
