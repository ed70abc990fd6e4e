/*
 * A plugin that is wrong in one way, chosen by BROKEN when it is compiled. The host must refuse
 * each with its reason.
 */
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "viaduct/abi/abi.h"

#define NOT_ITS_FAULT 0
#define OTHER_MAJOR 1
#define NEEDS_NEWER_HOST 2
#define NO_ENTRY 3
#define NULL_MODULE 4
#define OTHER_NAME 5
#define NULL_FUNCTION 6
#define BAD_SCHEMA 7
#define NO_LANES 8
#define SMALL_STRUCT 9
#define CRASHES 10
#define HANGS 11
#define NULL_INTERFACES 12

static int32_t create(const vd_host* host, vd_str name, vd_instance** out, vd_error* error) {
  (void)host, (void)name, (void)out, (void)error;
  return VD_UNIMPLEMENTED;
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
static void destroy(vd_instance* self) { (void)self; }
static const void* query(vd_instance* self, vd_str id) {
  (void)self, (void)id;
  return NULL;
}

static const vd_lifecycle_1 lifecycle = {
    create, configure, start, BROKEN == NULL_FUNCTION ? NULL : drain, stop, destroy, query};

#if BROKEN == CRASHES
__attribute__((constructor)) static void crash(void) { raise(SIGSEGV); }
#elif BROKEN == HANGS
__attribute__((constructor)) static void hang(void) {
  for (;;) pause();
}
#endif

#if BROKEN == OTHER_NAME
#define NAME "somebody_else"
#else
#define NAME BROKEN_NAME
#endif
#if BROKEN == BAD_SCHEMA
#define SCHEMA "{\"type\":"
#else
#define SCHEMA "{}"
#endif

#if BROKEN != NO_ENTRY
const vd_module* vd_module_entry(void) {
  static const vd_module module = {BROKEN == SMALL_STRUCT ? 24 : sizeof(vd_module),
                                   BROKEN == OTHER_MAJOR ? VD_ABI_MAJOR + 1 : VD_ABI_MAJOR,
                                   VD_ABI_MINOR,
                                   BROKEN == NEEDS_NEWER_HOST ? VD_ABI_MINOR + 1 : 0,
                                   0,
                                   BROKEN == NO_LANES ? 0 : 1,
                                   VD_STR_LITERAL(NAME),
                                   VD_STR_LITERAL("0.1.0"),
                                   VD_STR_LITERAL("Wrong in one way"),
                                   VD_STR_LITERAL("Apache-2.0"),
                                   VD_STR_LITERAL(SCHEMA),
                                   NULL,
                                   BROKEN == NULL_INTERFACES ? 3 : 0,
                                   &lifecycle};
  return BROKEN == NULL_MODULE ? NULL : &module;
}
#else
VD_EXPORT int not_an_entry(void) { return lifecycle.query(NULL, (vd_str){NULL, 0}) != NULL; }
#endif
