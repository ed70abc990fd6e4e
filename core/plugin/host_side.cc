#include "core/plugin/host_side.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/plugin/abi_values.h"
#include "core/plugin/incarnation.h"

namespace viaduct {
namespace {

constexpr absl::Duration kFullLaneDelay = absl::Milliseconds(10);

}  // namespace

struct HostSide::Config {
  mutable absl::Mutex mutex;
  std::shared_ptr<const ConfigView> view ABSL_GUARDED_BY(mutex);
};

HostSide::HostSide(Incarnation* owner)
    : owner_(owner),
      component_(absl::StrCat("instance/", owner->name())),
      buffers_(std::make_shared<BufferAccount>(owner->limits().max_buffer_bytes)),
      config_(std::make_unique<Config>()),
      log_tokens_(static_cast<double>(owner->limits().max_log_burst)),
      log_refilled_ns_(owner->services().clock->MonotonicNanos()) {}

HostSide::~HostSide() = default;

// ---- config
// --------------------------------------------------------------------------------------

const vd_config* HostSide::OpenConfig(std::shared_ptr<const ConfigView> view) {
  absl::MutexLock lock(&config_->mutex);
  config_->view = std::move(view);
  return static_cast<const vd_config*>(static_cast<const void*>(config_.get()));
}

void HostSide::CloseConfig() {
  std::shared_ptr<const ConfigView> gone;
  absl::MutexLock lock(&config_->mutex);
  gone = std::exchange(config_->view, nullptr);
}

std::shared_ptr<const ConfigView> HostSide::ViewOf(const vd_config* config) {
  if (config == nullptr) return nullptr;
  const Config* const ours = static_cast<const Config*>(static_cast<const void*>(config));
  absl::MutexLock lock(&ours->mutex);
  return ours->view;
}

// ---- log
// -----------------------------------------------------------------------------------------

bool HostSide::MayLog() {
  const InstanceLimits& limits = owner_->limits();
  const int64_t now = owner_->services().clock->MonotonicNanos();
  absl::MutexLock lock(&mutex_);
  const double passed_s = static_cast<double>(now - log_refilled_ns_) / 1e9;
  log_refilled_ns_ = now;
  log_tokens_ = std::min(static_cast<double>(limits.max_log_burst),
                         log_tokens_ + passed_s * limits.max_logs_per_second);
  if (log_tokens_ < 1) {
    dropped_logs_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  log_tokens_ -= 1;
  return true;
}

void HostSide::WriteLog(LogLevel level, std::string_view message, const Attributes& fields) {
  Log& log = *owner_->services().log;
  if (!log.Enabled(level, component_) || !MayLog()) return;
  std::vector<LogField> out;
  out.reserve(fields.size() + 1);
  for (const auto& [name, value] : fields) out.push_back({name, value});
  const uint64_t dropped = dropped_logs_.exchange(0, std::memory_order_relaxed);
  const std::string dropped_text = absl::StrCat(dropped);
  if (dropped > 0) out.push_back({"records_dropped_before", dropped_text});
  log.Write(level, component_, message, out);
}

// ---- post and timers
// -----------------------------------------------------------------------------

int32_t HostSide::CheckTask(uint32_t lane, vd_task_fn task) const {
  if (!owner_->accepting()) return VD_FAILED_PRECONDITION;
  if (task == nullptr) return VD_INVALID_ARGUMENT;
  return lane < owner_->lane_count() ? VD_OK : VD_OUT_OF_RANGE;
}

int32_t HostSide::Post(uint32_t lane, vd_task_fn task, void* user) {
  const int32_t code = CheckTask(lane, task);
  if (code != VD_OK) return code;
  const bool queued = owner_->PostToLane(lane, "posted task", [task, user] { task(user); });
  if (queued) return VD_OK;
  return owner_->accepting() ? VD_RESOURCE_EXHAUSTED : VD_FAILED_PRECONDITION;
}

int32_t HostSide::Arm(uint32_t lane, int64_t delay_ns, vd_task_fn task, void* user, uint64_t* out) {
  const int32_t code = CheckTask(lane, task);
  if (code != VD_OK) return code;
  if (out == nullptr) return VD_INVALID_ARGUMENT;
  absl::MutexLock lock(&mutex_);
  if (timers_closed_) return VD_FAILED_PRECONDITION;
  if (timers_.size() >= owner_->limits().max_tasks) return VD_RESOURCE_EXHAUSTED;
  const uint64_t id = next_timer_++;
  const absl::Duration delay = absl::Nanoseconds(std::max<int64_t>(0, delay_ns));
  // The queue's thread can not be inside Fire for this timer before the lock is given back.
  const uint64_t armed = ArmInQueue(id, delay);
  if (armed == 0) return VD_RESOURCE_EXHAUSTED;
  timers_.emplace(id, Timer{lane, task, user, armed});
  *out = id;
  return VD_OK;
}

uint64_t HostSide::ArmInQueue(uint64_t timer, absl::Duration delay) {
  return owner_->services().plugin_timers.ArmAfter(delay, [weak = owner_->weak_from_this(), timer] {
    if (const auto owner = weak.lock()) owner->host_side().Fire(timer);
  });
}

// On the queue's thread.
void HostSide::Fire(uint64_t timer) {
  absl::MutexLock lock(&mutex_);
  const auto found = timers_.find(timer);
  if (found == timers_.end()) return;
  // RunTimer takes the lock first, so what it finds is what is left here.
  const bool queued =
      owner_->PostToLane(found->second.lane, "timer task", [this, timer] { RunTimer(timer); });
  found->second.armed = queued || !owner_->accepting() ? 0 : ArmInQueue(timer, kFullLaneDelay);
}

void HostSide::RunTimer(uint64_t timer) {
  Timer due;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = timers_.find(timer);
    if (found == timers_.end()) return;  // Cancelled while it was queued.
    due = found->second;
    timers_.erase(found);
  }
  due.task(due.user);
}

int32_t HostSide::Cancel(uint64_t timer) {
  uint64_t armed = 0;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = timers_.find(timer);
    if (found == timers_.end()) return VD_NOT_FOUND;
    armed = found->second.armed;
    timers_.erase(found);
  }
  if (armed != 0) owner_->services().plugin_timers.Cancel(armed);
  return VD_OK;
}

void HostSide::DropTimers() {
  absl::flat_hash_map<uint64_t, Timer> dropped;
  {
    absl::MutexLock lock(&mutex_);
    timers_closed_ = true;
    dropped.swap(timers_);
  }
  for (const auto& [id, timer] : dropped) owner_->services().plugin_timers.Cancel(timer.armed);
}

// ---- metrics
// -------------------------------------------------------------------------------------

int32_t HostSide::AddMetric(const vd_metric* metric, uint32_t* out) {
  vd_metric theirs;
  if (out == nullptr || !ReadStruct(metric, &theirs)) return VD_INVALID_ARGUMENT;
  if (!owner_->registering()) return VD_FAILED_PRECONDITION;
  if (theirs.kind < VD_METRIC_COUNTER || theirs.kind > VD_METRIC_HISTOGRAM) {
    return VD_INVALID_ARGUMENT;
  }
  if (theirs.bound_count > Metrics::kMaxBounds ||
      (theirs.bounds == nullptr && theirs.bound_count > 0)) {
    return VD_INVALID_ARGUMENT;
  }
  AbiReader reader(owner_->limits());
  MetricSpec spec;
  spec.kind = static_cast<MetricKind>(theirs.kind - VD_METRIC_COUNTER);
  spec.name = absl::StrCat("viaduct_", owner_->plugin().info().name, "_", reader.Text(theirs.name));
  const bool named = theirs.name.size > 0;
  constexpr std::string_view kTotal = "_total";
  if (spec.kind == MetricKind::kCounter &&
      (spec.name.size() < kTotal.size() ||
       spec.name.compare(spec.name.size() - kTotal.size(), kTotal.size(), kTotal) != 0)) {
    spec.name += kTotal;
  }
  spec.help = reader.Text(theirs.help);
  spec.labels = reader.List(theirs.labels, theirs.label_count);
  spec.labels.emplace_back("instance", owner_->name());
  spec.bounds.assign(theirs.bounds, theirs.bounds + theirs.bound_count);
  spec.owner = InstanceServices::MetricOwner(owner_->name(), owner_->plugin().info().name);
  if (!reader.ok() || !named) return VD_INVALID_ARGUMENT;
  return NumberMetric(spec, out);
}

int32_t HostSide::NumberMetric(const MetricSpec& spec, uint32_t* out) {
  if (owner_->services().metrics == nullptr) {  // Nobody looks: any number will do.
    *out = 1;
    return VD_OK;
  }
  const absl::StatusOr<MetricNumber> number = owner_->services().metrics->Add(spec);
  if (!number.ok()) return CodeOf(number.status());
  absl::MutexLock lock(&mutex_);
  for (uint32_t i = 1; i <= metric_count_; ++i) {
    if (metrics_[i].load(std::memory_order_relaxed) != *number) continue;
    *out = i;
    return VD_OK;
  }
  if (metric_count_ >= kMaxMetrics) return VD_RESOURCE_EXHAUSTED;
  *out = ++metric_count_;
  metrics_[*out].store(*number, std::memory_order_release);
  return VD_OK;
}

uint32_t HostSide::MetricOf(uint32_t number) const {
  if (number > kMaxMetrics || owner_->phase() == Phase::kStopped) return 0;
  return metrics_[number].load(std::memory_order_acquire);
}

}  // namespace viaduct
