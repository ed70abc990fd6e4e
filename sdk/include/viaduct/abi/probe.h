/*
 * viaduct/abi/probe.h - measuring a road for the host's network monitor: viaduct.probe/1.
 */
#ifndef VIADUCT_ABI_PROBE_H_
#define VIADUCT_ABI_PROBE_H_

#include "lifecycle.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vd_probe {
  uint32_t struct_size;
  uint32_t payload_size; /* octets to carry along where the protocol can; 0: as few as possible */
  uint64_t token;
  int64_t deadline_ns;   /* monotonic; never 0 */
} vd_probe;

typedef struct vd_probe_result {
  uint32_t struct_size;
  int32_t code;             /* VD_OK: the peer answered */
  uint64_t token;
  int64_t round_trip_ns;    /* with VD_OK */
  uint64_t bytes_sent;      /* what the probe cost, as far as known */
  uint64_t bytes_received;
  vd_str detail;            /* for people, no secret */
} vd_probe_result;

/* Implemented by the plugin. */
#define VD_PROBE_1 "viaduct.probe/1"
typedef struct vd_probe_1 {
  /* Measures once: the cheapest exchange of the protocol that proves the peer alive. Ends with one
   * done, at its deadline at the latest. `probe` is borrowed. Does not block.
   * VD_RESOURCE_EXHAUSTED: one is under way. Then no done will come.
   * [lane; started] */
  int32_t (*probe)(vd_instance *instance, uint32_t lane, const vd_probe *probe);
} vd_probe_1;

/* Offered by the host. */
#define VD_HOST_PROBE_1 "viaduct.host.probe/1"
typedef struct vd_host_probe_1 {
  /* Ends a probe. All is borrowed. Does not block. Cannot fail.
   * [any; started, draining] */
  void (*done)(const vd_host *host, const vd_probe_result *result);
} vd_host_probe_1;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* VIADUCT_ABI_PROBE_H_ */
