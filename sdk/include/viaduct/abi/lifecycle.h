/*
 * viaduct/abi/lifecycle.h - an instance from create to destroy.
 *
 *               create        configure          start
 *   (nothing) ---------> created -----> configured -----> started
 *                           |               |              | drain
 *                           |               |              v
 *                           |               |           draining
 *                           |               |   stop       | stop
 *                           v destroy       v            v v
 *                        (nothing)  <---------------- stopped
 *                                       destroy
 *
 * A failed call leaves the state as it was; the host then destroys the instance (after stop, where
 * start had succeeded), shows the reason, and makes a new one later. Retries and back-off belong to
 * the host alone: a plugin that loses its peer says so (health, completions) and tries to connect
 * again only when the host delivers, probes or restarts it, or by the protocol's own keep-alive.
 *
 * Answers may overtake: what the other party calls in answer (a completion, on_done, on_reply, a
 * posted task) may come, on another thread, before the call that it answers has returned, and
 * therefore also while start is still running. What the host calls of its own accord (deliver,
 * on_call, begin, probe, infer) comes after start has returned VD_OK.
 */
#ifndef VIADUCT_ABI_LIFECYCLE_H_
#define VIADUCT_ABI_LIFECYCLE_H_

#include "config.h"
#include "host.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vd_instance vd_instance; /* the plugin's own */

#define VD_LIFECYCLE_1 "viaduct.lifecycle/1"
typedef struct vd_lifecycle_1 {
  /* Makes an instance: memory and nothing else, no thread, no file, no socket. `host` outlives the
   * instance; `name` is borrowed. On success *out is the plugin's until destroy. May block (should
   * not). Errors: any; typically VD_RESOURCE_EXHAUSTED.
   * [control; none] */
  int32_t (*create)(const vd_host *host, vd_str name, vd_instance **out, vd_error *error);
  /* Reads and checks the config; opens nothing. Called once. `config` is borrowed. May block
   * (should not). VD_INVALID_ARGUMENT with error.pointer set: what the schema could not say.
   * [control; created] */
  int32_t (*configure)(vd_instance *instance, const vd_config *config, vd_error *error);
  /* Opens: sockets, threads, connections that a listener or client needs at once. `lane_count` is
   * how many lanes the host will use, 1 to vd_module.max_lanes. A client does not wait for its
   * peer: a peer that is away is health, not failure. May block, for less than the host's start
   * deadline (10 s unless configured). A start that fails has undone everything, as stop would.
   * Errors: any; VD_UNAVAILABLE: try again later (port taken).
   * [control; configured] */
  int32_t (*start)(vd_instance *instance, uint32_t lane_count, vd_error *error);
  /* Takes no new work from peers and finishes what is in flight, until `deadline_ns` (monotonic) at
   * the latest; the host delivers nothing more. May block until then.
   * VD_DEADLINE_EXCEEDED: something is still in flight; stop will cancel it.
   * [control; started] */
  int32_t (*drain)(vd_instance *instance, int64_t deadline_ns, vd_error *error);
  /* Ends: returns only when no thread, timer, descriptor or call of this instance is left, having
   * completed every item it still held (VD_OUTCOME_CANCELLED). Before, the host has refused new
   * posts and submits, run the posts it had accepted and taken back the timers: no [lane] call is
   * under way or comes while stop runs; an [any] call may. What the host has not answered (on_done,
   * on_reply, on_frame_done) when stop returns it does not answer any more: stop need not wait for
   * it. May block, but bounded by its own time-outs. Cannot fail.
   * [control; started, draining] */
  void (*stop)(vd_instance *instance);
  /* Frees what create made. Does not block. Cannot fail.
   * [control; created, configured, stopped] */
  void (*destroy)(vd_instance *instance);
  /* Finds an interface of the plugin by id ("viaduct.deliver/1"). The table belongs to the plugin
   * and lives as long as the instance. After configure the answer does not change: an instance that
   * its config makes a listener only may answer NULL to "viaduct.deliver/1". Does not block.
   * NULL: not offered.
   * [any; configured, started, draining] */
  const void *(*query)(vd_instance *instance, vd_str id);
} vd_lifecycle_1;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* VIADUCT_ABI_LIFECYCLE_H_ */
