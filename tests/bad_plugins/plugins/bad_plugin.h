/*
 * A good plugin in pieces, for the bad ones beside it: each says only what is wrong with it.
 *
 *   BAD_MODULE("wrong_major", .abi_major = 2)          a field of vd_module
 *   BAD_LIFECYCLE("fails_create", .create = create)    a function of vd_lifecycle_1
 *   BAD_DELIVER("completes_twice", .deliver = deliver) a function of vd_deliver_1
 */
#ifndef VIADUCT_TESTS_BAD_PLUGIN_H_
#define VIADUCT_TESTS_BAD_PLUGIN_H_

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "viaduct/abi/abi.h"

#ifdef __clang__ /* Whose -Wextra comes after what CMake turns off. */
#pragma clang diagnostic ignored "-Winitializer-overrides"
#endif

#define UNUSED __attribute__((unused))

struct vd_instance {
  const vd_host* host;
  const vd_host_deliver_1* deliver;
  pthread_t thread;
  int running;
  vd_message kept; /* what a plugin must not keep */
};

static UNUSED vd_str text(const char* terminated) {
  vd_str out = {terminated, strlen(terminated)};
  return out;
}

static UNUSED int equal(vd_str a, const char* b) {
  return a.size == strlen(b) && memcmp(a.data, b, (size_t)a.size) == 0;
}

static UNUSED int32_t fail(vd_error* error, int32_t code, const char* pointer,
                           const char* message) {
  if (error != NULL) {
    error->code = code;
    snprintf(error->pointer, sizeof(error->pointer), "%s", pointer);
    snprintf(error->message, sizeof(error->message), "%s", message);
  }
  return code;
}

/* Longer than any limit; ends with the test's process. */
static UNUSED void hang(void) {
  for (;;) pause();
}

static UNUSED void crash(void) {
  volatile int* volatile nowhere = NULL;
  *nowhere = 1;
}

static UNUSED void sleep_ms(long ms) {
  struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&time, NULL);
}

/* throwing.cc; these do not return. */
void bad_throw_runtime_error(void);
void bad_throw_own_error(void);
void bad_throw_int(void);

/* ---- the good pieces ------------------------------------------------------------------------- */

static UNUSED int32_t good_create(const vd_host* host, vd_str name, vd_instance** out,
                                  vd_error* error) {
  (void)name;
  *out = calloc(1, sizeof(**out));
  if (*out == NULL) return fail(error, VD_RESOURCE_EXHAUSTED, "", "out of memory");
  (*out)->host = host;
  (*out)->deliver = host->query(host, text(VD_HOST_DELIVER_1));
  return VD_OK;
}

static UNUSED int32_t good_configure(vd_instance* self, const vd_config* config, vd_error* error) {
  (void)self, (void)config, (void)error;
  return VD_OK;
}

static UNUSED int32_t good_start(vd_instance* self, uint32_t lanes, vd_error* error) {
  (void)self, (void)lanes, (void)error;
  return VD_OK;
}

static UNUSED int32_t good_drain(vd_instance* self, int64_t deadline_ns, vd_error* error) {
  (void)self, (void)deadline_ns, (void)error;
  return VD_OK;
}

static UNUSED void good_stop(vd_instance* self) { (void)self; }

static UNUSED void good_destroy(vd_instance* self) { free(self); }

static UNUSED uint32_t good_credit(vd_instance* self, uint32_t lane) {
  (void)self, (void)lane;
  return 256;
}

static UNUSED const vd_message* message_at(const vd_message_list* batch, uint64_t i) {
  return (const vd_message*)((const char*)batch->items + i * batch->stride);
}

static UNUSED void end(vd_instance* self, uint64_t token, uint32_t outcome, int32_t code) {
  vd_completion completion = {.struct_size = sizeof(completion)};
  vd_completion_list list = {&completion, sizeof(completion), 1};
  completion.token = token;
  completion.outcome = outcome;
  completion.code = code;
  self->deliver->complete(self->host, &list);
}

static UNUSED int32_t good_deliver(vd_instance* self, uint32_t lane, const vd_message_list* batch,
                                   uint64_t* taken) {
  (void)lane;
  *taken = batch->count < 256 ? batch->count : 256;
  for (uint64_t i = 0; i < *taken; ++i) {
    end(self, message_at(batch, i)->token, VD_OUTCOME_DURABLE, VD_OK);
  }
  return VD_OK;
}

static UNUSED void good_cancel(vd_instance* self, uint32_t lane, const uint64_t* tokens,
                               uint64_t count) {
  (void)self, (void)lane, (void)tokens, (void)count;
}

static UNUSED const vd_deliver_1 good_table = {good_credit, good_deliver, good_cancel};

static UNUSED const void* good_query(vd_instance* self, vd_str id) {
  (void)self;
  return equal(id, VD_DELIVER_1) ? &good_table : NULL;
}

#define GOOD_LIFECYCLE                                                                          \
  .create = good_create, .configure = good_configure, .start = good_start, .drain = good_drain, \
  .stop = good_stop, .destroy = good_destroy, .query = good_query
#define GOOD_DELIVER .credit = good_credit, .deliver = good_deliver, .cancel = good_cancel
#define GOOD_SCHEMA                                                                   \
  "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"delay_ms\":" \
  "{\"type\":\"integer\",\"minimum\":0,\"description\":\"How long it takes.\","       \
  "\"default\":0}}}"

static UNUSED const vd_str good_interfaces[] = {VD_STR_LITERAL(VD_DELIVER_1)};
static UNUSED const vd_lifecycle_1 good_lifecycle = {GOOD_LIFECYCLE};

#define GOOD_MODULE(plugin)                                                                \
  .struct_size = sizeof(vd_module), .abi_major = VD_ABI_MAJOR, .abi_minor = VD_ABI_MINOR,  \
  .max_lanes = 1, .name = VD_STR_LITERAL(plugin), .version = VD_STR_LITERAL("1.0.0"),      \
  .summary = VD_STR_LITERAL("Broken on purpose"), .licence = VD_STR_LITERAL("Apache-2.0"), \
  .config_schema = VD_STR_LITERAL(GOOD_SCHEMA), .interfaces = good_interfaces,             \
  .interface_count = 1, .lifecycle = &good_lifecycle

#define BAD_MODULE(plugin, ...)                                          \
  VD_EXPORT const vd_module* vd_module_entry(void) {                     \
    static const vd_module kModule = {GOOD_MODULE(plugin), __VA_ARGS__}; \
    return &kModule;                                                     \
  }

#define BAD_LIFECYCLE(plugin, ...)                                           \
  static const vd_lifecycle_1 bad_lifecycle = {GOOD_LIFECYCLE, __VA_ARGS__}; \
  BAD_MODULE(plugin, .lifecycle = &bad_lifecycle)

#define BAD_DELIVER(plugin, ...)                                     \
  static const vd_deliver_1 bad_table = {GOOD_DELIVER, __VA_ARGS__}; \
  static const void* bad_query(vd_instance* self, vd_str id) {       \
    (void)self;                                                      \
    return equal(id, VD_DELIVER_1) ? &bad_table : NULL;              \
  }                                                                  \
  BAD_LIFECYCLE(plugin, .query = bad_query)

#endif /* VIADUCT_TESTS_BAD_PLUGIN_H_ */
