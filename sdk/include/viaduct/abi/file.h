/*
 * viaduct/abi/file.h - one file on its way: viaduct.file/1; what is left of one: viaduct.discard/1.
 *
 * The host owns the queue, the digest, the retries and the schedule; the plugin moves octets from
 * `offset` on and says how far the other side has them durably. Files appear under their final
 * name only when complete and verified.
 */
#ifndef VIADUCT_ABI_FILE_H_
#define VIADUCT_ABI_FILE_H_

#include "lifecycle.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VD_FILE_SEND UINT32_C(1)
#define VD_FILE_RECEIVE UINT32_C(2)

typedef struct vd_file_job {
  uint32_t struct_size;
  uint32_t direction;  /* VD_FILE_... */
  uint64_t token;      /* the host's name for this transfer */
  vd_str local_path;   /* absolute */
  vd_str remote_name;  /* relative to the configured folder, '/' between folders, no ".." */
  vd_str sha256;       /* 64 hexadecimal digits, or "" when not known (receive) */
  uint64_t size;       /* 0 with VD_FILE_RECEIVE when not known */
  uint64_t offset;     /* begin here; what is before it is durable on the other side */
  uint64_t max_bytes_per_second; /* 0: no limit */
  int64_t deadline_ns; /* monotonic; 0: none */
  const vd_attr *attributes;
  uint64_t attribute_count;
  /* since 1.1: which file local_path must lead to, as fstat tells; both 0: not known. What is
   * another file by now is not sent: REJECT, VD_ABORTED. */
  uint64_t local_device;
  uint64_t local_inode;
} vd_file_job;

typedef struct vd_file_result {
  uint32_t struct_size;
  uint32_t outcome;        /* VD_OUTCOME_... */
  uint64_t token;
  uint64_t durable_offset; /* where a later attempt may resume */
  int32_t code;
  uint32_t reserved;       /* 0 */
  int64_t retry_after_ns;
  vd_str sha256;           /* of what arrived, where the plugin computed it */
  vd_str detail;           /* for people, no secret */
} vd_file_result;

/* Implemented by the plugin. */
#define VD_FILE_1 "viaduct.file/1"
typedef struct vd_file_1 {
  /* How many more transfers the instance would take now. Does not block. Cannot fail.
   * [any; started] */
  uint32_t (*credit)(vd_instance *instance);
  /* Begins a transfer; it ends with exactly one done. The job is borrowed. Does not block.
   * VD_RESOURCE_EXHAUSTED: no credit; VD_UNAVAILABLE: the road is down; VD_INVALID_ARGUMENT: a
   * name that can not be used. Then no done will come.
   * [lane; started] */
  int32_t (*begin)(vd_instance *instance, uint32_t lane, const vd_file_job *job, vd_error *error);
  /* Asks to end a transfer soon (CANCELLED), keeping what is durable. A token that is not held is
   * ignored. Does not block. Cannot fail.
   * [lane; started, draining] */
  void (*cancel)(vd_instance *instance, uint32_t lane, uint64_t token);
} vd_file_1;

/* Of a file that nobody will go on with: it was cancelled, or came over another road. */
typedef struct vd_leftover {
  uint32_t struct_size;
  uint32_t reserved;   /* 0 */
  vd_str remote_name;  /* as of the job */
  vd_str sha256;       /* as of the job */
} vd_leftover;

/* Implemented by the plugin, since 1.1; beside viaduct.file/1. */
#define VD_DISCARD_1 "viaduct.discard/1"
typedef struct vd_discard_1 {
  /* Removes soon what transfers of that name and content have left unfinished on the other side.
   * What is there under its final name stays, and so does all while such a transfer is held. It is
   * a wish: nobody is told how it ended. The record is borrowed. Does not block.
   * VD_RESOURCE_EXHAUSTED: too many wait; VD_UNAVAILABLE: the road is down; VD_INVALID_ARGUMENT: a
   * name that can not be used.
   * [lane; started] */
  int32_t (*discard)(vd_instance *instance, uint32_t lane, const vd_leftover *leftover,
                     vd_error *error);
} vd_discard_1;

/* Offered by the host. */
#define VD_HOST_FILE_1 "viaduct.host.file/1"
typedef struct vd_host_file_1 {
  /* How far a transfer is: `moved` octets passed, those before `durable_offset` are durable on the
   * receiving side. Not more often than needed; the host keeps the last. Does not block. Cannot
   * fail.
   * [any; started, draining] */
  void (*progress)(const vd_host *host, uint64_t token, uint64_t moved, uint64_t durable_offset);
  /* Ends a transfer. All is borrowed. Does not block. Cannot fail.
   * [any; started, draining] */
  void (*done)(const vd_host *host, const vd_file_result *result);
} vd_host_file_1;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* VIADUCT_ABI_FILE_H_ */
