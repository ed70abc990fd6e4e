/*
 * viaduct/abi/host.h - the host as an instance sees it: a handle with which to ask for services.
 *
 * Each service is a function table with an id, found with vd_host.query. A plugin asks in create,
 * keeps what it gets, and does without what is NULL (or fails in configure with
 * VD_FAILED_PRECONDITION when it cannot).
 *
 *   services.h   viaduct.host.log/1, clock/1, timer/1, buffer/1, metrics/1, health/1, post/1
 *   config.h     viaduct.host.config/1
 *   deliver.h    viaduct.host.deliver/1
 *   submit.h     viaduct.host.submit/1
 *   call.h       viaduct.host.call/1
 *   file.h       viaduct.host.file/1
 *   probe.h      viaduct.host.probe/1
 *   frame.h      viaduct.host.source/1, viaduct.host.infer/1
 *
 * No service needs a synchronous answer from another thread or process: whatever takes time is
 * answered by a later call in the other direction. The same plugin file therefore also runs where
 * the host is at the other end of a pipe.
 */
#ifndef VIADUCT_ABI_HOST_H_
#define VIADUCT_ABI_HOST_H_

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One per instance; lives from before create until after destroy. */
typedef struct vd_host vd_host;
struct vd_host {
  uint32_t struct_size;
  uint16_t abi_major; /* the version that the host was built with */
  uint16_t abi_minor;
  void *impl; /* the host's own; not for the plugin */
  /* Finds a service by id. The table belongs to the host and lives as long as this handle.
   * Does not block. NULL: not offered by this host, which is no error.
   * [any; all] */
  const void *(*query)(const vd_host *host, vd_str id);
};

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* VIADUCT_ABI_HOST_H_ */
