/*
 * The plugin of v1_0/x86_64/minimal.so, built with the headers of ABI 1.0 and never built again:
 * every later host must live with it. The one of v1_1/ is the same, built with the headers of 1.1.
 * It confirms every message and answers every call.
 *
 *   gcc -std=c11 -O2 -s -fPIC -shared -fvisibility=hidden -I sdk/include \
 *     -Wl,--version-script=sdk/cmake/plugin_exports.map tests/abi/v1_0/minimal.c -o minimal.so
 */
#include <stdlib.h>
#include <string.h>

#include "viaduct/abi/abi.h"

struct vd_instance {
  const vd_host* host;
  const vd_host_deliver_1* deliver;
  const vd_host_call_1* call;
  int64_t greeting_size;
};

static vd_str text(const char* terminated) {
  vd_str out = {terminated, strlen(terminated)};
  return out;
}

static int32_t create(const vd_host* host, vd_str name, vd_instance** out, vd_error* error) {
  (void)name;
  (void)error;
  *out = calloc(1, sizeof(**out));
  if (*out == NULL) return VD_RESOURCE_EXHAUSTED;
  (*out)->host = host;
  (*out)->deliver = host->query(host, text(VD_HOST_DELIVER_1));
  (*out)->call = host->query(host, text(VD_HOST_CALL_1));
  return VD_OK;
}

static int32_t configure(vd_instance* self, const vd_config* config, vd_error* error) {
  const vd_host_config_1* table = self->host->query(self->host, text(VD_HOST_CONFIG_1));
  vd_str greeting = {NULL, 0};
  if (table == NULL || table->get_string(config, text("/greeting"), &greeting) != VD_OK) {
    if (error != NULL) {
      error->code = VD_INVALID_ARGUMENT;
      strcpy(error->pointer, "/greeting");
      strcpy(error->message, "minimal: greeting is no text");
    }
    return VD_INVALID_ARGUMENT;
  }
  self->greeting_size = (int64_t)greeting.size;
  return VD_OK;
}

static int32_t start(vd_instance* self, uint32_t lanes, vd_error* error) {
  (void)self;
  (void)lanes;
  (void)error;
  return VD_OK;
}

static int32_t drain(vd_instance* self, int64_t deadline_ns, vd_error* error) {
  (void)self;
  (void)deadline_ns;
  (void)error;
  return VD_OK;
}

static void stop(vd_instance* self) { (void)self; }

static void destroy(vd_instance* self) { free(self); }

static uint32_t credit(vd_instance* self, uint32_t lane) {
  (void)self;
  (void)lane;
  return 32;
}

static int32_t deliver(vd_instance* self, uint32_t lane, const vd_message_list* batch,
                       uint64_t* taken) {
  uint64_t i;
  *taken = batch->count < credit(self, lane) ? batch->count : credit(self, lane);
  for (i = 0; i < *taken; ++i) {
    const vd_message* message = (const vd_message*)((const char*)batch->items + i * batch->stride);
    vd_completion completion;
    vd_completion_list list = {&completion, sizeof(completion), 1};
    memset(&completion, 0, sizeof(completion));
    completion.struct_size = sizeof(completion);
    completion.token = message->token;
    completion.outcome = VD_OUTCOME_DURABLE;
    self->deliver->complete(self->host, &list);
  }
  return VD_OK;
}

static void cancel(vd_instance* self, uint32_t lane, const uint64_t* tokens, uint64_t count) {
  (void)self;
  (void)lane;
  (void)tokens;
  (void)count;
}

static void on_reply(vd_instance* self, const vd_reply* reply) {
  (void)self;
  (void)reply;
}

static int32_t on_call(vd_instance* self, uint32_t lane, const vd_call* call) {
  vd_reply reply;
  (void)lane;
  memset(&reply, 0, sizeof(reply));
  reply.struct_size = sizeof(reply);
  reply.token = call->token;
  reply.status = 200;
  reply.body = call->body;
  self->call->reply(self->host, &reply);
  return VD_OK;
}

static void on_cancel(vd_instance* self, uint32_t lane, uint64_t token) {
  (void)self;
  (void)lane;
  (void)token;
}

static const void* query(vd_instance* self, vd_str id) {
  static const vd_deliver_1 kDeliver = {credit, deliver, cancel};
  static const vd_call_1 kCall = {on_reply, on_call, on_cancel};
  (void)self;
  if (id.size == strlen(VD_DELIVER_1) && memcmp(id.data, VD_DELIVER_1, id.size) == 0) {
    return &kDeliver;
  }
  if (id.size == strlen(VD_CALL_1) && memcmp(id.data, VD_CALL_1, id.size) == 0) return &kCall;
  return NULL;
}

#define SCHEMA                                                                        \
  "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"greeting\":" \
  "{\"type\":\"string\",\"description\":\"Read and forgotten.\",\"default\":\"hello\"}}}"

VD_EXPORT const vd_module* vd_module_entry(void) {
  static const vd_lifecycle_1 kLifecycle = {create, configure, start, drain, stop, destroy, query};
  static const vd_str kInterfaces[] = {VD_STR_LITERAL(VD_DELIVER_1), VD_STR_LITERAL(VD_CALL_1)};
  static const vd_module kModule = {
      .struct_size = sizeof(vd_module),
      .abi_major = VD_ABI_MAJOR,
      .abi_minor = VD_ABI_MINOR,
      .max_lanes = 2,
      .name = VD_STR_LITERAL("minimal"),
      .version = VD_STR_LITERAL("1.0.0"),
      .summary = VD_STR_LITERAL("Built once with ABI 1.0"),
      .licence = VD_STR_LITERAL("Apache-2.0"),
      .config_schema = VD_STR_LITERAL(SCHEMA),
      .interfaces = kInterfaces,
      .interface_count = 2,
      .lifecycle = &kLifecycle,
  };
  return &kModule;
}
