/*
 * viaduct/abi/call.h - a request with a reply, in both directions: viaduct.call/1.
 *
 *   plugin -> host   an HTTP request, a Socket.IO event, an MQTT request topic; the application in
 *                    the host answers.
 *   host -> plugin   a command to a device over whatever road it has; the peer answers.
 *
 * `status` of a reply is an HTTP status number in every protocol; a plugin words it in its own way.
 */
#ifndef VIADUCT_ABI_CALL_H_
#define VIADUCT_ABI_CALL_H_

#include "lifecycle.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vd_call {
  uint32_t struct_size;
  uint32_t reserved;     /* 0 */
  uint64_t token;        /* the caller's name for it; unique per instance and direction in flight */
  vd_str protocol;       /* "http", "socketio", "mqtt" */
  vd_str method;         /* "GET"; "" where the protocol has none */
  vd_str path;           /* as received, still percent-encoded; or event name or topic */
  vd_str query;          /* as received, without '?', still percent-encoded */
  vd_bytes body;
  vd_str peer;           /* address of the peer; host -> plugin: device id */
  int64_t deadline_ns;   /* monotonic; 0: none */
  const vd_attr *attributes; /* headers and their like, names in lower case */
  uint64_t attribute_count;
  const vd_attr *credentials; /* found by the plugin; the host decides what they prove */
  uint64_t credential_count;
} vd_call;

typedef struct vd_reply {
  uint32_t struct_size;
  int32_t status;            /* HTTP status number */
  uint64_t token;            /* of the call */
  vd_bytes body;             /* borrowed */
  vd_buffer *buffer;         /* NULL, or holds `body`: ref it instead of copying */
  const vd_attr *attributes; /* "content-type", "retry-after", "join-room", ... */
  uint64_t attribute_count;
} vd_reply;

/* Offered by the host. */
#define VD_HOST_CALL_1 "viaduct.host.call/1"
typedef struct vd_host_call_1 {
  /* Asks the application. All is borrowed. The answer comes by on_reply, exactly once, also after
   * cancel (unless stop comes first). Does not block. VD_RESOURCE_EXHAUSTED: too many calls in
   * flight, answer 503; VD_FAILED_PRECONDITION: stop has begun; VD_INVALID_ARGUMENT: a value is
   * NULL with a size or over its limit, or the instance does not offer VD_CALL_1;
   * VD_ALREADY_EXISTS: the token is in flight. Then no reply will come for this call.
   * [any; started, draining] */
  int32_t (*call)(const vd_host *host, const vd_call *call);
  /* The peer is gone: the answer is no longer wanted. It still comes (status 499 when the work was
   * not done). Does not block. Cannot fail.
   * [any; started, draining] */
  void (*cancel)(const vd_host *host, uint64_t token);
  /* Answers a call that came by on_call. All is borrowed. A token answered twice or unknown is
   * ignored and counted. Does not block. Cannot fail.
   * [any; started, draining] */
  void (*reply)(const vd_host *host, const vd_reply *reply);
} vd_host_call_1;

/* Implemented by the plugin. */
#define VD_CALL_1 "viaduct.call/1"
typedef struct vd_call_1 {
  /* The answer to vd_host_call_1.call. All is borrowed (except buffer, counted). Does not block.
   * Cannot fail.
   * [any; started, draining] */
  void (*on_reply)(vd_instance *instance, const vd_reply *reply);
  /* A call of the host to a peer; answered later by vd_host_call_1.reply. All is borrowed. Does not
   * block. VD_NOT_FOUND: no such peer here; VD_UNAVAILABLE: not now; VD_UNIMPLEMENTED: this plugin
   * takes no calls. Then no reply will come.
   * [lane; started] */
  int32_t (*on_call)(vd_instance *instance, uint32_t lane, const vd_call *call);
  /* The host no longer waits for the answer. Does not block. Cannot fail.
   * [lane; started, draining] */
  void (*on_cancel)(vd_instance *instance, uint32_t lane, uint64_t token);
} vd_call_1;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* VIADUCT_ABI_CALL_H_ */
