/*
 * viaduct/abi/services.h - what the host does for every instance: log, clock, timers, buffers,
 * metrics, health, and coming back on one's own lane.
 */
#ifndef VIADUCT_ABI_SERVICES_H_
#define VIADUCT_ABI_SERVICES_H_

#include "host.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- log ------------------------------------------------------------------------------------ */

#define VD_LOG_TRACE UINT32_C(0)
#define VD_LOG_DEBUG UINT32_C(1)
#define VD_LOG_INFO UINT32_C(2)
#define VD_LOG_WARNING UINT32_C(3)
#define VD_LOG_ERROR UINT32_C(4)

#define VD_HOST_LOG_1 "viaduct.host.log/1"
typedef struct vd_host_log_1 {
  /* 1 when a record of this level would be kept: ask before composing an expensive one.
   * Does not block. Cannot fail.
   * [any; all] */
  uint32_t (*enabled)(const vd_host *host, uint32_t level);
  /* Writes one record under the instance's name. All is borrowed; put no secret in. Does not block.
   * Cannot fail: a record too many is counted and dropped.
   * [any; all] */
  void (*write)(const vd_host *host, uint32_t level, vd_str message, const vd_attr *fields,
                uint64_t field_count);
} vd_host_log_1;

/* ---- clock ---------------------------------------------------------------------------------- */

#define VD_HOST_CLOCK_1 "viaduct.host.clock/1"
typedef struct vd_host_clock_1 {
  /* Nanoseconds of the monotonic clock: the one of every deadline. Does not block. Cannot fail.
   * [any; all] */
  int64_t (*monotonic_ns)(const vd_host *host);
  /* Nanoseconds since 1970-01-01 UTC; may jump. For stamps, never for time-outs. Does not block.
   * Cannot fail.
   * [any; all] */
  int64_t (*wall_ns)(const vd_host *host);
} vd_host_clock_1;

/* ---- post and timers ------------------------------------------------------------------------ */

/* A function of the plugin that the host calls back; `user` is the plugin's own.
 * [lane; started, draining] */
typedef void (*vd_task_fn)(void *user);

#define VD_HOST_POST_1 "viaduct.host.post/1"
typedef struct vd_host_post_1 {
  /* Runs `task(user)` once on the given lane, after what was posted there before. Does not block.
   * VD_RESOURCE_EXHAUSTED: too many are waiting; VD_FAILED_PRECONDITION: stop has begun;
   * VD_OUT_OF_RANGE: no such lane; VD_INVALID_ARGUMENT: the task is NULL. Then the task will not
   * run. What was accepted runs before stop is called.
   * [any; started, draining] */
  int32_t (*post)(const vd_host *host, uint32_t lane, vd_task_fn task, void *user);
} vd_host_post_1;

#define VD_HOST_TIMER_1 "viaduct.host.timer/1"
typedef struct vd_host_timer_1 {
  /* Runs `task(user)` once on the given lane, not before `delay_ns` from now. *out names the timer,
   * never 0; a negative delay counts as 0. What has not run when stop is called does not run any
   * more. Does not block. Errors as for post; VD_INVALID_ARGUMENT also when out is NULL.
   * [any; started, draining] */
  int32_t (*arm)(const vd_host *host, uint32_t lane, int64_t delay_ns, vd_task_fn task, void *user,
                 uint64_t *out);
  /* Takes a timer back. Called on the timer's own lane, or after all lanes have come to rest, the
   * task will not run after this returns; elsewhere it may just be running. Does not block.
   * VD_NOT_FOUND: it has run, is running, or never was.
   * [any; started, draining] */
  int32_t (*cancel)(const vd_host *host, uint64_t timer);
} vd_host_timer_1;

/* ---- buffers -------------------------------------------------------------------------------- */

#define VD_HOST_BUFFER_1 "viaduct.host.buffer/1"
typedef struct vd_host_buffer_1 {
  /* Makes a buffer of `size` octets, counted in the instance's memory, with one reference that is
   * the caller's. Does not block. NULL: over the instance's limit or out of memory.
   * [any; all] */
  vd_buffer *(*make)(const vd_host *host, uint64_t size);
} vd_host_buffer_1;

/* ---- metrics -------------------------------------------------------------------------------- */

#define VD_METRIC_COUNTER UINT32_C(1)
#define VD_METRIC_GAUGE UINT32_C(2)
#define VD_METRIC_HISTOGRAM UINT32_C(3)

typedef struct vd_metric {
  uint32_t struct_size;
  uint32_t kind;         /* VD_METRIC_... */
  vd_str name;           /* [a-z][a-z0-9_]*, with the unit last: "connections_open"; the host puts
                            viaduct_<plugin>_ before it and the label instance="..." on it */
  vd_str help;           /* one sentence */
  const vd_attr *labels; /* fixed labels of this series */
  uint64_t label_count;
  const double *bounds;  /* HISTOGRAM: upper bounds, ascending, at most 32 */
  uint64_t bound_count;
} vd_metric;

#define VD_HOST_METRICS_1 "viaduct.host.metrics/1"
typedef struct vd_host_metrics_1 {
  /* Registers one series and gives its number, never 0. The same name and labels give the same
   * number. All is borrowed. Does not block.
   * VD_INVALID_ARGUMENT: a bad name, label or bound, or the name is in use for another kind;
   * VD_RESOURCE_EXHAUSTED: over the limit of 256 an instance, or of the node;
   * VD_FAILED_PRECONDITION: start has returned.
   * [control; created, configured] */
  int32_t (*add)(const vd_host *host, const vd_metric *metric, uint32_t *out);
  /* Adds to a counter (delta >= 0) or gauge. Wait-free. Cannot fail; a wrong number is ignored.
   * [any; all] */
  void (*increase)(const vd_host *host, uint32_t metric, double delta);
  /* Sets a gauge. Wait-free. Cannot fail; a wrong number is ignored.
   * [any; all] */
  void (*set)(const vd_host *host, uint32_t metric, double value);
  /* Puts a value into a histogram. Wait-free. Cannot fail; a wrong number is ignored.
   * [any; all] */
  void (*observe)(const vd_host *host, uint32_t metric, double value);
} vd_host_metrics_1;

/* ---- health --------------------------------------------------------------------------------- */

#define VD_HEALTH_HEALTHY UINT32_C(1)
#define VD_HEALTH_DEGRADED UINT32_C(2)  /* works, but an operator should look */
#define VD_HEALTH_UNHEALTHY UINT32_C(3) /* does not do its work now, may recover by itself */

#define VD_HOST_HEALTH_1 "viaduct.host.health/1"
typedef struct vd_host_health_1 {
  /* Says how the instance is. `reason` is borrowed, for people, "" with HEALTHY. Saying the same
   * again costs nothing. Does not block. Cannot fail.
   * [any; started, draining] */
  void (*set)(const vd_host *host, uint32_t state, vd_str reason);
  /* Says that the instance can not go on: the host stops, destroys and makes it anew with back-off.
   * `reason` as above. Does not block. Cannot fail.
   * [any; started, draining] */
  void (*fail)(const vd_host *host, int32_t code, vd_str reason);
} vd_host_health_1;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* VIADUCT_ABI_SERVICES_H_ */
