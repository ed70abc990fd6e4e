// The services of the test host as function tables of the ABI.
#pragma once

#include <string_view>

#include "test_host.h"

namespace viaduct::check {

// log, clock, post, timer, buffer, metrics, health.
struct ServiceTables {
  static const void* Find(std::string_view id);

  static uint32_t LogEnabled(const vd_host* host, uint32_t level);
  static void LogWrite(const vd_host* host, uint32_t level, vd_str message, const vd_attr* fields,
                       uint64_t count);
  static int64_t MonotonicNs(const vd_host* host);
  static int64_t WallNs(const vd_host* host);
  static int32_t Post(const vd_host* host, uint32_t lane, vd_task_fn task, void* user);
  static int32_t TimerArm(const vd_host* host, uint32_t lane, int64_t delay_ns, vd_task_fn task,
                          void* user, uint64_t* out);
  static int32_t TimerCancel(const vd_host* host, uint64_t timer);
  static vd_buffer* BufferMake(const vd_host* host, uint64_t size);
  static int32_t MetricAdd(const vd_host* host, const vd_metric* metric, uint32_t* out);
  static void MetricIncrease(const vd_host* host, uint32_t metric, double delta);
  static void MetricSet(const vd_host* host, uint32_t metric, double value);
  static void MetricObserve(const vd_host* host, uint32_t metric, double value);
  static void HealthSet(const vd_host* host, uint32_t state, vd_str reason);
  static void HealthFail(const vd_host* host, int32_t code, vd_str reason);
  static uint32_t KindOf(TestHost& host, uint32_t metric);
};

// deliver, submit, call, file, probe, source, infer.
struct FlowTables {
  static const void* Find(std::string_view id);

  static void DeliverComplete(const vd_host* host, const vd_completion_list* completions);
  static void DeliverOnRoom(const vd_host* host, uint32_t lane);
  static int32_t Submit(const vd_host* host, uint32_t lane, const vd_inbound_list* batch,
                        uint64_t* taken);
  static int32_t Call(const vd_host* host, const vd_call* call);
  static void CallCancel(const vd_host* host, uint64_t token);
  static void CallReply(const vd_host* host, const vd_reply* reply);
  static void FileProgress(const vd_host* host, uint64_t token, uint64_t moved,
                           uint64_t durable_offset);
  static void FileDone(const vd_host* host, const vd_file_result* result);
  static void ProbeDone(const vd_host* host, const vd_probe_result* result);
  static int32_t Push(const vd_host* host, const vd_frame* frame);
  static void InferDone(const vd_host* host, const vd_infer_result* result);
};

}  // namespace viaduct::check
