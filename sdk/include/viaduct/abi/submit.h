/*
 * viaduct/abi/submit.h - messages from a peer to the host: viaduct.submit/1.
 *
 * The plugin hands over what came in and acknowledges to its peer only when on_done says DURABLE.
 * When less was taken than offered, it stops reading from its sockets until on_room.
 */
#ifndef VIADUCT_ABI_SUBMIT_H_
#define VIADUCT_ABI_SUBMIT_H_

#include "lifecycle.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One message as it came in. Texts are borrowed until submit returns. */
typedef struct vd_inbound {
  uint32_t struct_size;
  uint32_t reserved;   /* 0 */
  uint64_t token;      /* the plugin's name for it; unique per instance while in flight */
  vd_str route;        /* topic, event or path it came in by: tells its form to the application */
  vd_bytes content;    /* as received: an envelope or one of the flat forms */
  vd_str peer;         /* address of the peer, "192.0.2.7:51234", "mqtt:<client id>"; empty, or the
                          instance's own name: the plugin says it itself, and is believed */
  const vd_attr *attributes; /* properties of the message (QoS, retain, content type) */
  uint64_t attribute_count;
  const vd_attr *credentials; /* found on the message or its session: {"api_key", "..."} */
  uint64_t credential_count;
} vd_inbound;

typedef struct vd_inbound_list {
  const vd_inbound *items; /* the i-th is at (const char *)items + i * stride */
  uint64_t stride;
  uint64_t count;
} vd_inbound_list; /* Frozen. */

/* Offered by the host. */
#define VD_HOST_SUBMIT_1 "viaduct.host.submit/1"
typedef struct vd_host_submit_1 {
  /* Hands over a batch; *taken says how long a prefix the host took. Each taken message ends with
   * one on_done (unless stop comes first). All is borrowed. Does not block. VD_OK also when *taken
   * is less than count: stop reading until on_room. VD_FAILED_PRECONDITION: stop has begun;
   * VD_INVALID_ARGUMENT: a list that is NULL with a count or can not be walked, a first record
   * without a size, or the instance does not offer VD_SUBMIT_1; VD_OUT_OF_RANGE: no such lane. Then
   * nothing was taken.
   * [any; started, draining] */
  int32_t (*submit)(const vd_host *host, uint32_t lane, const vd_inbound_list *batch,
                    uint64_t *taken);
} vd_host_submit_1;

/* Implemented by the plugin. */
#define VD_SUBMIT_1 "viaduct.submit/1"
typedef struct vd_submit_1 {
  /* How taken messages ended. `completions` is borrowed. DURABLE: acknowledge to the peer now.
   * Does not block. Cannot fail.
   * [any; started, draining] */
  void (*on_done)(vd_instance *instance, const vd_completion_list *completions);
  /* The host would take messages again on this lane. Does not block. Cannot fail.
   * [any; started, draining] */
  void (*on_room)(vd_instance *instance, uint32_t lane);
} vd_submit_1;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* VIADUCT_ABI_SUBMIT_H_ */
