/*
 * viaduct/abi/config.h - the configuration of an instance, read by JSON pointer (RFC 6901).
 *
 * The host has parsed the operator's YAML, checked it against the plugin's JSON Schema
 * (vd_module.config_schema), filled in the schema's defaults and resolved references to secrets.
 * A plugin in plain C needs no parser. "" points to the whole config, "/tls/key" into it,
 * "/topics/0" to the first element of a list.
 */
#ifndef VIADUCT_ABI_CONFIG_H_
#define VIADUCT_ABI_CONFIG_H_

#include "host.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vd_config vd_config; /* the host's own; valid until configure returns */

#define VD_CONFIG_MISSING UINT32_C(0)
#define VD_CONFIG_NULL UINT32_C(1)
#define VD_CONFIG_BOOLEAN UINT32_C(2)
#define VD_CONFIG_INTEGER UINT32_C(3)
#define VD_CONFIG_NUMBER UINT32_C(4)
#define VD_CONFIG_STRING UINT32_C(5)
#define VD_CONFIG_LIST UINT32_C(6)
#define VD_CONFIG_OBJECT UINT32_C(7)

#define VD_HOST_CONFIG_1 "viaduct.host.config/1"
typedef struct vd_host_config_1 {
  /* What stands at `pointer`: VD_CONFIG_..., VD_CONFIG_MISSING where nothing does.
   * Does not block. Cannot fail.
   * [any; created] */
  uint32_t (*type)(const vd_config *config, vd_str pointer);
  /* Reads a string. *out is valid until configure returns. Does not block.
   * VD_NOT_FOUND: nothing there; VD_INVALID_ARGUMENT: another type, a pointer that is NULL with a
   * size or longer than 4096 octets, or out is NULL; VD_FAILED_PRECONDITION: configure has
   * returned. *out is unchanged then.
   * [any; created] */
  int32_t (*get_string)(const vd_config *config, vd_str pointer, vd_str *out);
  /* Reads an integer (also a number without fraction). Does not block.
   * Errors as above; VD_OUT_OF_RANGE: does not fit.
   * [any; created] */
  int32_t (*get_integer)(const vd_config *config, vd_str pointer, int64_t *out);
  /* Reads a number (also an integer). Does not block.
   * Errors as above.
   * [any; created] */
  int32_t (*get_number)(const vd_config *config, vd_str pointer, double *out);
  /* Reads a boolean as 0 or 1. Does not block.
   * Errors as above.
   * [any; created] */
  int32_t (*get_boolean)(const vd_config *config, vd_str pointer, uint32_t *out);
  /* The number of elements of a list or members of an object. Does not block.
   * Errors as above.
   * [any; created] */
  int32_t (*get_size)(const vd_config *config, vd_str pointer, uint64_t *out);
  /* The JSON text of whatever stands there, secrets included: do not log it. *out is valid until
   * configure returns. Does not block.
   * Errors as above; there is no other type.
   * [any; created] */
  int32_t (*get_json)(const vd_config *config, vd_str pointer, vd_str *out);
} vd_host_config_1;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* VIADUCT_ABI_CONFIG_H_ */
