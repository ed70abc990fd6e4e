/*
 * viaduct/abi/deliver.h - messages from the host to a peer: viaduct.deliver/1.
 *
 *   host                                   plugin                           peer
 *    | deliver(batch of 32) -> taken 32      |                                |
 *    |-------------------------------------->| send ------------------------->|
 *    |                                       |<------------------ "stored"    |
 *    |<-- complete(32 x DURABLE) ------------|                                |
 *
 * Credit: the plugin says how many messages it will hold at once. A batch may be taken in part: a
 * prefix; what is not taken stays the host's. Every taken message ends with exactly one completion,
 * in any order. A completion of a token twice, or of one that is not held, is ignored and counted.
 *
 * On a client the message goes to the one peer. On a listener it is published: `route` says to
 * whom ("room:dashboard", "topic:lpr/ack/CAM001", "session:<id>", "all"). A listener offers the same
 * table as viaduct.publish/1 instead, so that nobody takes it for a road to a server.
 */
#ifndef VIADUCT_ABI_DELIVER_H_
#define VIADUCT_ABI_DELIVER_H_

#include "lifecycle.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VD_DATA_NONE UINT32_C(0) /* not an envelope: an event of the application */
#define VD_DATA_DETECTION UINT32_C(1)
#define VD_DATA_HEALTH UINT32_C(2)
#define VD_DATA_CONFIG UINT32_C(3)
#define VD_DATA_CONTROL UINT32_C(4)

#define VD_PRIORITY_UNSPECIFIED UINT32_C(0) /* as normal */
#define VD_PRIORITY_HIGH UINT32_C(1)
#define VD_PRIORITY_NORMAL UINT32_C(2)
#define VD_PRIORITY_LOW UINT32_C(3)

/* One message. Texts are borrowed until deliver returns: a plugin that needs them longer copies. */
/* Attributes of a message that is delivered, each with the value "1". A plugin need not know them. */
#define VD_ATTR_BACKLOG "backlog" /* It has waited long: keep it out of the way of others. */

typedef struct vd_message {
  uint32_t struct_size;
  uint32_t data_type;     /* VD_DATA_... */
  uint64_t token;         /* the host's name for this delivery */
  vd_str message_id;
  vd_str device_id;       /* edge_device_id of the envelope */
  vd_str envelope;        /* the complete JSON envelope; "" with VD_DATA_NONE */
  vd_str payload;         /* JSON of its payload member (a part of `envelope`), or of the event */
  vd_str event;           /* name of the event, where published */
  vd_str route;           /* to whom, on a listener; "" on a client */
  int64_t timestamp_ns;   /* capture time, since 1970 UTC */
  int64_t deadline_ns;    /* monotonic; 0: none. After it the host no longer waits */
  uint32_t priority;      /* VD_PRIORITY_... */
  uint32_t attempt;       /* 1 for the first */
  const vd_attr *attributes;
  uint64_t attribute_count;
} vd_message;

typedef struct vd_message_list {
  const vd_message *items; /* the i-th is at (const char *)items + i * stride */
  uint64_t stride;
  uint64_t count;
} vd_message_list; /* Frozen. */

/* Implemented by the plugin. */
#define VD_DELIVER_1 "viaduct.deliver/1"
/* The same table, of an instance that publishes to subscribers: DURABLE means that the message was
 * handed to every subscriber that is there, which may be none. An instance offers one of the two. */
#define VD_PUBLISH_1 "viaduct.publish/1"
typedef struct vd_deliver_1 {
  /* How many more messages the instance would take now on this lane. A cheap read. Does not block.
   * Cannot fail.
   * [any; started] */
  uint32_t (*credit)(vd_instance *instance, uint32_t lane);
  /* Takes a prefix of the batch; *taken says how many. Everything in the batch is borrowed. Does
   * not block. VD_OK also when *taken is 0 (no credit). Any error: none was taken;
   * VD_UNAVAILABLE: the road is down.
   * [lane; started] */
  int32_t (*deliver)(vd_instance *instance, uint32_t lane, const vd_message_list *batch,
                     uint64_t *taken);
  /* Asks to let go of these tokens soon (CANCELLED), where that is still possible. A token that is
   * not held is ignored. Does not block. Cannot fail.
   * [lane; started, draining] */
  void (*cancel)(vd_instance *instance, uint32_t lane, const uint64_t *tokens, uint64_t count);
} vd_deliver_1;

/* Offered by the host. */
#define VD_HOST_DELIVER_1 "viaduct.host.deliver/1"
typedef struct vd_host_deliver_1 {
  /* Ends messages that the instance took. All is borrowed. Does not block. Cannot fail.
   * [any; started, draining] */
  void (*complete)(const vd_host *host, const vd_completion_list *completions);
  /* Credit has grown other than by completions (a connection came up). Does not block. Cannot fail.
   * [any; started] */
  void (*on_room)(const vd_host *host, uint32_t lane);
} vd_host_deliver_1;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* VIADUCT_ABI_DELIVER_H_ */
