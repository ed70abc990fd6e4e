// The host as an instance uses it: one handle with every service, found once.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "viaduct/cpp/buffer.h"
#include "viaduct/cpp/status.h"
#include "viaduct/cpp/text.h"

namespace viaduct::sdk {

enum class Level : uint32_t {
  kTrace = VD_LOG_TRACE,
  kDebug = VD_LOG_DEBUG,
  kInfo = VD_LOG_INFO,
  kWarning = VD_LOG_WARNING,
  kError = VD_LOG_ERROR,
};

enum class Health : uint32_t {
  kHealthy = VD_HEALTH_HEALTHY,
  kDegraded = VD_HEALTH_DEGRADED,    // Works, but an operator should look.
  kUnhealthy = VD_HEALTH_UNHEALTHY,  // Does not do its work now, may recover by itself.
};

// How a message that the plugin took ended; for Host::Complete. `detail` is borrowed.
inline vd_completion MakeCompletion(uint64_t token, uint32_t outcome, Code code,
                                    std::string_view detail) {
  vd_completion completion = Record<vd_completion>();
  completion.token = token;
  completion.outcome = outcome;
  completion.code = static_cast<int32_t>(code);
  completion.detail = Str(detail);
  return completion;
}
// The peer has confirmed that it is stored; `duplicate`: it had been before.
inline vd_completion Durable(uint64_t token, bool duplicate = false) {
  vd_completion completion = MakeCompletion(token, VD_OUTCOME_DURABLE, Code::kOk, {});
  completion.duplicate = duplicate ? 1 : 0;
  return completion;
}
// Not now; `retry_after_ns` is what the peer asked for, 0 leaves it to the host.
inline vd_completion Retry(uint64_t token, Code code, std::string_view detail,
                           int64_t retry_after_ns = 0) {
  vd_completion completion = MakeCompletion(token, VD_OUTCOME_RETRY, code, detail);
  completion.retry_after_ns = retry_after_ns;
  return completion;
}
// Can never succeed: the peer said why.
inline vd_completion Reject(uint64_t token, Code code, std::string_view detail) {
  return MakeCompletion(token, VD_OUTCOME_REJECT, code, detail);
}
inline vd_completion Expired(uint64_t token) {
  return MakeCompletion(token, VD_OUTCOME_EXPIRED, Code::kDeadlineExceeded, {});
}
inline vd_completion Cancelled(uint64_t token) {
  return MakeCompletion(token, VD_OUTCOME_CANCELLED, Code::kCancelled, {});
}

// One series of numbers for the operators. Copyable; wait-free; does nothing while default-made or
// where the host has no metrics. Thread-safe.
class Metric {
 public:
  Metric() = default;
  // Counters (delta >= 0) and gauges.
  void Increase(double delta = 1) const {
    if (table_ != nullptr) table_->increase(host_, number_, delta);
  }
  void Set(double value) const {  // Gauges.
    if (table_ != nullptr) table_->set(host_, number_, value);
  }
  void Observe(double value) const {  // Histograms.
    if (table_ != nullptr) table_->observe(host_, number_, value);
  }

 private:
  friend class Host;
  const vd_host* host_ = nullptr;
  const vd_host_metrics_1* table_ = nullptr;
  uint32_t number_ = 0;
};

// Every service of the host, found when it is made. Copyable, as small as a dozen pointers. Every
// function says in the ABI header of its service in which states and on which threads it may be
// called; none blocks. A service that this host does not have: logs, metrics and health do nothing,
// functions with a Status give kUnimplemented. Thread-safe.
class Host {
 public:
  Host() = default;
  explicit Host(const vd_host* raw) : raw_(raw) {
    Find(VD_HOST_LOG_1, &log_);
    Find(VD_HOST_CLOCK_1, &clock_);
    Find(VD_HOST_POST_1, &post_);
    Find(VD_HOST_TIMER_1, &timer_);
    Find(VD_HOST_BUFFER_1, &buffer_);
    Find(VD_HOST_METRICS_1, &metrics_);
    Find(VD_HOST_HEALTH_1, &health_);
    Find(VD_HOST_CONFIG_1, &config_);
    Find(VD_HOST_DELIVER_1, &deliver_);
    Find(VD_HOST_SUBMIT_1, &submit_);
    Find(VD_HOST_CALL_1, &call_);
    Find(VD_HOST_FILE_1, &file_);
    Find(VD_HOST_PROBE_1, &probe_);
    Find(VD_HOST_SOURCE_1, &source_);
    Find(VD_HOST_INFER_1, &infer_);
  }

  const vd_host* raw() const { return raw_; }
  // A service that has no wrapper here; null where the host does not offer it.
  template <typename Table>
  const Table* Query(std::string_view id) const {
    return raw_ == nullptr ? nullptr : static_cast<const Table*>(raw_->query(raw_, Str(id)));
  }
  bool has_submit() const { return submit_ != nullptr; }
  bool has_call() const { return call_ != nullptr; }
  const vd_host_config_1* config_table() const { return config_; }

  // ---- log: no secret goes in. Ask LogEnabled before composing an expensive record.
  bool LogEnabled(Level level) const {
    return log_ != nullptr && log_->enabled(raw_, static_cast<uint32_t>(level)) != 0;
  }
  void Log(Level level, std::string_view message,
           std::initializer_list<vd_attr> fields = {}) const {
    if (log_ == nullptr) return;
    log_->write(raw_, static_cast<uint32_t>(level), Str(message), fields.begin(), fields.size());
  }
  void Debug(std::string_view message, std::initializer_list<vd_attr> fields = {}) const {
    Log(Level::kDebug, message, fields);
  }
  void Info(std::string_view message, std::initializer_list<vd_attr> fields = {}) const {
    Log(Level::kInfo, message, fields);
  }
  void Warning(std::string_view message, std::initializer_list<vd_attr> fields = {}) const {
    Log(Level::kWarning, message, fields);
  }
  void Error(std::string_view message, std::initializer_list<vd_attr> fields = {}) const {
    Log(Level::kError, message, fields);
  }

  // ---- clock
  // The clock of every deadline.
  int64_t MonotonicNs() const {
    return clock_ != nullptr ? clock_->monotonic_ns(raw_)
                             : Nanoseconds(std::chrono::steady_clock::now().time_since_epoch());
  }
  // Since 1970 UTC, may jump: for stamps only.
  int64_t WallNs() const {
    return clock_ != nullptr ? clock_->wall_ns(raw_)
                             : Nanoseconds(std::chrono::system_clock::now().time_since_epoch());
  }

  // ---- back on a lane of mine
  Status Post(uint32_t lane, vd_task_fn task, void* user) const {
    if (post_ == nullptr) return Missing(VD_HOST_POST_1);
    return Status::FromCode(post_->post(raw_, lane, task, user), "post");
  }
  // Runs (object->*kMethod)() once on the lane. The object must be alive then; what was accepted
  // runs before Stop is called. Allocates nothing.
  //   host().Post<&Client::Flush>(0, &client_);
  template <auto kMethod, typename T>
  Status Post(uint32_t lane, T* object) const {
    return Post(lane, &CallMethod<kMethod, T>, object);
  }
  // `*timer` names it, for CancelTimer. What has not run when Stop is called does not run any more.
  Status StartTimer(uint32_t lane, int64_t delay_ns, vd_task_fn task, void* user,
                    uint64_t* timer) const {
    if (timer_ == nullptr) return Missing(VD_HOST_TIMER_1);
    return Status::FromCode(timer_->arm(raw_, lane, delay_ns, task, user, timer), "timer");
  }
  template <auto kMethod, typename T>
  Status StartTimer(uint32_t lane, int64_t delay_ns, T* object, uint64_t* timer) const {
    return StartTimer(lane, delay_ns, &CallMethod<kMethod, T>, object, timer);
  }
  // True: it will not run. Certain only on the timer's own lane or in Stop.
  bool CancelTimer(uint64_t timer) const {
    return timer_ != nullptr && timer_->cancel(raw_, timer) == VD_OK;
  }

  // ---- buffers
  // Empty where the instance's limit is reached.
  Buffer MakeBuffer(uint64_t size) const {
    return buffer_ == nullptr ? Buffer() : Buffer::Adopt(buffer_->make(raw_, size));
  }

  // ---- metrics: add them in Configure or Start
  Status AddCounter(std::string_view name, std::string_view help, Metric* out,
                    std::initializer_list<vd_attr> labels = {}) const {
    return AddMetric(VD_METRIC_COUNTER, name, help, labels, {}, out);
  }
  Status AddGauge(std::string_view name, std::string_view help, Metric* out,
                  std::initializer_list<vd_attr> labels = {}) const {
    return AddMetric(VD_METRIC_GAUGE, name, help, labels, {}, out);
  }
  // `bounds` are upper bounds, ascending.
  Status AddHistogram(std::string_view name, std::string_view help,
                      std::initializer_list<double> bounds, Metric* out,
                      std::initializer_list<vd_attr> labels = {}) const {
    return AddMetric(VD_METRIC_HISTOGRAM, name, help, labels, bounds, out);
  }

  // ---- health: from Start on
  void SetHealth(Health state, std::string_view reason = {}) const {
    if (health_ != nullptr) health_->set(raw_, static_cast<uint32_t>(state), Str(reason));
  }
  // The instance can not go on: the host makes it anew with back-off.
  void Fail(Code code, std::string_view reason) const {
    if (health_ != nullptr) health_->fail(raw_, static_cast<int32_t>(code), Str(reason));
  }

  // ---- deliver: every message that was taken ends with exactly one completion
  void Complete(const vd_completion* items, size_t count) const {
    if (deliver_ == nullptr || count == 0) return;
    const vd_completion_list list = {items, sizeof(vd_completion), count};
    deliver_->complete(raw_, &list);
  }
  void Complete(const vd_completion& completion) const { Complete(&completion, 1); }
  void Complete(const std::vector<vd_completion>& items) const {
    Complete(items.data(), items.size());
  }
  // Credit has grown other than by completions: a connection came up.
  void OnRoom(uint32_t lane) const {
    if (deliver_ != nullptr) deliver_->on_room(raw_, lane);
  }

  // ---- submit: acknowledge to the peer only when OnSubmitDone says DURABLE
  // `*taken` of `count` were taken; when fewer, stop reading until OnSubmitRoom.
  Status Submit(uint32_t lane, const vd_inbound* items, size_t count, size_t* taken) const {
    *taken = 0;
    if (submit_ == nullptr) return Missing(VD_HOST_SUBMIT_1);
    const vd_inbound_list list = {items, sizeof(vd_inbound), count};
    uint64_t prefix = 0;
    const int32_t code = submit_->submit(raw_, lane, &list, &prefix);
    *taken = static_cast<size_t>(prefix);
    return Status::FromCode(code, "submit");
  }

  // ---- call: the answer comes by OnReply unless the status is an error
  Status Call(const vd_call& call) const {
    if (call_ == nullptr) return Missing(VD_HOST_CALL_1);
    return Status::FromCode(call_->call(raw_, &call), "call");
  }
  void CancelCall(uint64_t token) const {
    if (call_ != nullptr) call_->cancel(raw_, token);
  }
  // Answers what came by OnCall.
  void Reply(const vd_reply& reply) const {
    if (call_ != nullptr) call_->reply(raw_, &reply);
  }

  // ---- file
  void FileProgress(uint64_t token, uint64_t moved, uint64_t durable_offset) const {
    if (file_ != nullptr) file_->progress(raw_, token, moved, durable_offset);
  }
  void FileDone(const vd_file_result& result) const {
    if (file_ != nullptr) file_->done(raw_, &result);
  }

  // ---- probe, source, infer
  void ProbeDone(const vd_probe_result& result) const {
    if (probe_ != nullptr) probe_->done(raw_, &result);
  }
  Status PushFrame(const vd_frame& frame) const {
    if (source_ == nullptr) return Missing(VD_HOST_SOURCE_1);
    return Status::FromCode(source_->push(raw_, &frame), "push");
  }
  void InferDone(const vd_infer_result& result) const {
    if (infer_ != nullptr) infer_->done(raw_, &result);
  }

 private:
  template <typename Table>
  void Find(std::string_view id, const Table** table) {
    *table = Query<Table>(id);
  }
  static Status Missing(std::string_view id) {
    return Unimplemented("host: does not offer " + std::string(id));
  }
  template <typename Duration>
  static int64_t Nanoseconds(Duration duration) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count();
  }
  template <auto kMethod, typename T>
  static void CallMethod(void* user) noexcept;  // plugin.h

  Status AddMetric(uint32_t kind, std::string_view name, std::string_view help,
                   std::initializer_list<vd_attr> labels, std::initializer_list<double> bounds,
                   Metric* out) const {
    *out = Metric();
    if (metrics_ == nullptr) return {};
    vd_metric metric = Record<vd_metric>();
    metric.kind = kind;
    metric.name = Str(name);
    metric.help = Str(help);
    metric.labels = labels.begin();
    metric.label_count = labels.size();
    metric.bounds = bounds.begin();
    metric.bound_count = bounds.size();
    VIADUCT_RETURN_IF_ERROR(Status::FromCode(metrics_->add(raw_, &metric, &out->number_),
                                             "metric " + std::string(name)));
    out->host_ = raw_;
    out->table_ = metrics_;
    return {};
  }

  const vd_host* raw_ = nullptr;
  const vd_host_log_1* log_ = nullptr;
  const vd_host_clock_1* clock_ = nullptr;
  const vd_host_post_1* post_ = nullptr;
  const vd_host_timer_1* timer_ = nullptr;
  const vd_host_buffer_1* buffer_ = nullptr;
  const vd_host_metrics_1* metrics_ = nullptr;
  const vd_host_health_1* health_ = nullptr;
  const vd_host_config_1* config_ = nullptr;
  const vd_host_deliver_1* deliver_ = nullptr;
  const vd_host_submit_1* submit_ = nullptr;
  const vd_host_call_1* call_ = nullptr;
  const vd_host_file_1* file_ = nullptr;
  const vd_host_probe_1* probe_ = nullptr;
  const vd_host_source_1* source_ = nullptr;
  const vd_host_infer_1* infer_ = nullptr;
};

}  // namespace viaduct::sdk
