/*
 * viaduct/abi/module.h - what a plugin file says of itself, and its one exported symbol.
 */
#ifndef VIADUCT_ABI_MODULE_H_
#define VIADUCT_ABI_MODULE_H_

#include "lifecycle.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VD_MAX_LANES UINT32_C(64)

typedef struct vd_module {
  uint32_t struct_size;
  uint16_t abi_major;      /* VD_ABI_MAJOR of the headers it was built with */
  uint16_t abi_minor;      /* VD_ABI_MINOR of them */
  uint16_t min_host_minor; /* the oldest host minor it can live with */
  uint16_t reserved;       /* 0 */
  uint32_t max_lanes;      /* 1 to VD_MAX_LANES: how many lanes an instance can use */
  vd_str name;             /* [a-z][a-z0-9_]{0,31}; the same as the file's name without ".so" */
  vd_str version;          /* of the plugin, semantic versioning */
  vd_str summary;          /* one line for people */
  vd_str licence;          /* SPDX expression */
  /* JSON Schema (draft 7) of the config: an object schema with "additionalProperties": false, a
   * description for every property, defaults where there are, and "x-viaduct-secret": true on
   * what must never be shown. */
  vd_str config_schema;
  const vd_str *interfaces; /* ids that query may answer, for listings: "viaduct.deliver/1", ... */
  uint64_t interface_count;
  const vd_lifecycle_1 *lifecycle;
} vd_module;

/* Describes the plugin. The description is static: it belongs to the library and lives until it is
 * unloaded. Allocates nothing, starts nothing; a scanner may call it and unload again. Does not
 * block. Cannot fail.
 * [any; module] */
typedef const vd_module *(*vd_module_entry_fn)(void);

#define VD_MODULE_ENTRY "vd_module_entry"
VD_EXPORT const vd_module *vd_module_entry(void);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* VIADUCT_ABI_MODULE_H_ */
