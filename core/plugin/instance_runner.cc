#include "core/plugin/instance_runner.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/observe/health_tree.h"
#include "core/plugin/deliver_side.h"

namespace viaduct {
namespace {

constexpr size_t kMaxSteps = 256;  // Queued control steps of one instance.

// Only what runs does its work: stopped by hand, starting and failed are one to a health check.
HealthState TreeState(const InstanceInfo& info) {
  if (info.state == InstanceState::kDraining) return HealthState::kDegraded;
  if (info.state != InstanceState::kStarted) return HealthState::kUnhealthy;
  switch (info.health) {
    case InstanceHealth::kUnhealthy:
      return HealthState::kUnhealthy;
    case InstanceHealth::kDegraded:
      return HealthState::kDegraded;
    default:
      return HealthState::kHealthy;
  }
}

std::string TreeReason(const InstanceInfo& info) {
  if (info.state == InstanceState::kFailed) return std::string(info.reason.message());
  if (info.state == InstanceState::kStarted) return info.health_reason;
  return std::string(InstanceStateName(info.state));
}

}  // namespace

InstanceRunner::InstanceRunner(InstanceSpec spec, Params params)
    : params_(std::move(params)),
      name_(spec.name),
      component_(absl::StrCat("instance/", spec.name)),
      link_(std::make_shared<PluginLink>(spec.name, current_, handlers_)),
      retry_({}, random_),
      spec_(std::move(spec)),
      driver_({name_, 1, kMaxSteps}) {
  absl::MutexLock lock(&mutex_);
  info_.name = spec_.name;
  info_.plugin = spec_.plugin;
  info_.since = params_.services->clock->Now();
}

InstanceRunner::~InstanceRunner() { driver_.Stop(); }

InstanceSpec InstanceRunner::spec() const {
  absl::MutexLock lock(&mutex_);
  return spec_;
}

InstanceInfo InstanceRunner::info() const {
  const std::shared_ptr<Incarnation> now = current_->get();
  absl::MutexLock lock(&mutex_);
  InstanceInfo info = info_;
  info.counters = counters_->Snapshot();
  if (now != nullptr) info.counters.in_flight = now->deliver_side().in_flight();
  if (retry_at_ns_ != 0) {
    const int64_t left = retry_at_ns_ - params_.services->clock->MonotonicNanos();
    info.retry_in = absl::Nanoseconds(std::max<int64_t>(1, left));
  }
  return info;
}

bool InstanceRunner::settling() const {
  absl::MutexLock lock(&mutex_);
  return adopting_ || starting_;
}

// ---- commands
// ------------------------------------------------------------------------------------

void InstanceRunner::Queue(std::function<void()> step) {
  driver_.Submit([self = shared_from_this(), step = std::move(step)] {
    if (!self->closed_) step();
  });
}

absl::Status InstanceRunner::Run(std::function<absl::Status()> step) {
  struct Answer {
    absl::Notification done;
    absl::Status status = absl::CancelledError("the instance is no longer configured");
  };
  const auto answer = std::make_shared<Answer>();
  const bool queued = driver_.Submit([this, answer, step = std::move(step)] {
    if (!closed_) answer->status = step();
    answer->done.Notify();
  });
  if (!queued) {
    return absl::ResourceExhaustedError(
        absl::StrCat(component_, ": too many commands are waiting, or it is being removed"));
  }
  answer->done.WaitForNotification();
  return answer->status;
}

absl::Status InstanceRunner::Start() {
  return Run([this] { return DoStart(); });
}

absl::Status InstanceRunner::Stop() {
  return Run([this] { return DoStop(absl::ZeroDuration(), absl::OkStatus()); });
}

absl::Status InstanceRunner::Drain(absl::Duration limit) {
  return Run([this, limit] { return DoStop(limit, absl::OkStatus()); });
}

absl::Status InstanceRunner::Restart() {
  return Run([this] {
    DoStop(absl::ZeroDuration(), absl::OkStatus()).IgnoreError();  // Hung: a new one all the same.
    retry_.Reset();
    return DoStart();
  });
}

void InstanceRunner::StopForChange() {
  Run([this] {
    return DoStop(absl::ZeroDuration(), absl::OkStatus());
  }).IgnoreError();  // Hung: given up and logged.
}

void InstanceRunner::Adopt(InstanceSpec spec,
                           absl::StatusOr<std::shared_ptr<Incarnation>> prepared) {
  {
    absl::MutexLock lock(&mutex_);
    adopting_ = true;
    starting_ = spec.start == StartPolicy::kAuto && spec.unavailable_reason.empty();
  }
  Queue([this, spec = std::move(spec), prepared = std::move(prepared)] {
    std::string plugin_before;
    {
      absl::MutexLock lock(&mutex_);
      spec_ = spec;
      plugin_before = std::exchange(info_.plugin, spec.plugin);
    }
    if (plugin_before != spec.plugin) params_.services->ForgetMetrics(name_, plugin_before);
    retry_.Reset();
    EndPrepared();
    if (!spec.unavailable_reason.empty()) {
      return SetState(InstanceState::kFailed,
                      absl::FailedPreconditionError(spec.unavailable_reason));
    }
    if (!prepared.ok()) return StartFailed(prepared.status());
    prepared_ = *prepared;
    DescribeIncarnation(*prepared_);
    SetState(InstanceState::kConfigured);
    if (spec.start == StartPolicy::kAuto) DoStart().IgnoreError();  // Shown, logged, retried.
  });
}

void InstanceRunner::Close(absl::Duration limit) {
  Run([this, limit] {
    const absl::Status stopped = DoStop(limit, absl::OkStatus());
    EndPrepared();
    closed_ = true;
    return stopped;
  }).IgnoreError();  // Logged.
  driver_.Stop();
  handlers_->Set(nullptr, nullptr);
  params_.services->ForgetMetrics(name_, spec().plugin);
  {
    absl::MutexLock lock(&mutex_);
    const auto told = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !telling_; };
    mutex_.Await(absl::Condition(&told));
  }
  if (params_.services->health != nullptr) params_.services->health->Remove(component_);
}

// ---- steps on the driver
// -------------------------------------------------------------------------

// Each has left a thread and its memory behind, whichever instance it was of and whether it came as
// far as starting.
absl::Status InstanceRunner::CheckReturns(const std::string& plugin) const {
  const std::vector<InstanceServices::GivenUp> lives = params_.services->given_up();
  const auto count = std::count_if(lives.begin(), lives.end(),
                                   [&](const auto& life) { return life.plugin == plugin; });
  if (count < static_cast<int64_t>(params_.limits.max_quarantined)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("given up, it did not return ", count,
                                                    " times; only a restart of the node can help"));
}

absl::StatusOr<std::shared_ptr<Incarnation>> InstanceRunner::Prepare(const InstanceSpec& spec) {
  VD_RETURN_IF_ERROR(CheckReturns(spec.plugin));
  VD_ASSIGN_OR_RETURN(auto plugin, params_.plugins->Acquire(spec.plugin));
  Incarnation::Params params;
  params.name = name_;
  const uint32_t most = std::min(plugin->info().max_lanes, params_.limits.max_lanes);
  params.lanes = spec.lanes == 0 ? most : std::min(spec.lanes, plugin->info().max_lanes);
  params.plugin = std::move(plugin);
  params.limits = params_.limits;
  params.services = params_.services;
  params.counters = counters_;
  params.handlers = handlers_;
  params.frames = frames_;
  const std::weak_ptr<InstanceRunner> weak = weak_from_this();
  params.events.on_health = [weak](InstanceHealth health, std::string reason) {
    if (const auto self = weak.lock()) self->SetHealth(health, std::move(reason));
  };
  params.events.on_fail = [weak](const Incarnation* which, absl::Status why) {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->Queue([self = self.get(), which, why = std::move(why)] { self->DoFailed(which, why); });
  };
  const std::shared_ptr<Incarnation> next = Incarnation::Make(std::move(params));
  absl::Status status = next->Create();
  if (status.ok()) status = next->Configure(spec.config);
  if (status.ok()) return next;
  next->Destroy().IgnoreError();  // The first failure is the one to show.
  return status;
}

absl::Status InstanceRunner::DoStart() {
  const InstanceSpec spec = this->spec();
  if (!spec.unavailable_reason.empty()) {
    return absl::FailedPreconditionError(spec.unavailable_reason);
  }
  if (const auto now = current_->get(); now != nullptr) return absl::OkStatus();
  CancelRetry();
  if (const absl::Status why = CheckReturns(spec.plugin); !why.ok()) {
    StartFailed(why);
    return why;
  }
  std::shared_ptr<Incarnation> next = std::exchange(prepared_, nullptr);
  if (next == nullptr) {
    auto prepared = Prepare(spec);
    if (!prepared.ok()) {
      StartFailed(prepared.status());
      return prepared.status();
    }
    next = *std::move(prepared);
    DescribeIncarnation(*next);
  }
  return StartPrepared(next);
}

absl::Status InstanceRunner::StartPrepared(const std::shared_ptr<Incarnation>& next) {
  SetHealth(InstanceHealth::kUnknown, "");
  SetState(InstanceState::kStarting);
  // Current before it starts: its listener may be asked, and may fail, from the first moment on.
  current_->Set(next);
  const absl::Status started = next->Start();
  if (!started.ok()) {
    current_->Set(nullptr);
    next->Destroy().IgnoreError();  // The failed start is what counts.
    StartFailed(started);
    return started;
  }
  ever_started_ = true;
  started_at_ns_ = params_.services->clock->MonotonicNanos();
  work_at_start_ = WorkDone();
  {
    absl::MutexLock lock(&mutex_);
    starting_ = false;
  }
  SetState(InstanceState::kStarted);
  params_.services->log->Info(component_, "started");
  handlers_->Ready();
  return absl::OkStatus();
}

absl::Status InstanceRunner::DoStop(absl::Duration drain_limit, const absl::Status& why) {
  CancelRetry();
  const std::shared_ptr<Incarnation> now = current_->get();
  absl::Status stopped;
  if (now != nullptr) {
    if (drain_limit > absl::ZeroDuration()) {
      SetState(InstanceState::kDraining);
      stopped = now->Drain(drain_limit);
    }
    if (!now->hung()) {
      SetState(InstanceState::kStopping);
      stopped.Update(now->Stop());
      stopped.Update(now->Destroy());
    }
    current_->Set(nullptr);
    params_.services->log->Info(component_, "stopped");
  }
  {
    absl::MutexLock lock(&mutex_);
    starting_ = false;
  }
  if (!why.ok()) {
    SetState(InstanceState::kFailed, why);
  } else if (now != nullptr && now->hung()) {
    SetState(InstanceState::kFailed, stopped);
  } else {
    SetState(InstanceState::kStopped);
  }
  return stopped;
}

// The plugin said, or showed by an exception, that it can not go on.
void InstanceRunner::DoFailed(const Incarnation* which, const absl::Status& why) {
  if (current_->get().get() != which) return;  // Of an earlier life.
  const int64_t lived = params_.services->clock->MonotonicNanos() - started_at_ns_;
  if (absl::Nanoseconds(lived) >= kStable || WorkDone() > work_at_start_) retry_.Reset();
  DoStop(absl::ZeroDuration(), why).IgnoreError();  // A hung stop is logged where it happens.
  PlanRetry();
}

uint64_t InstanceRunner::WorkDone() const {
  const InstanceCounters counters = counters_->Snapshot();
  return counters.durable + counters.submitted + counters.calls;
}

void InstanceRunner::DoHung(const Incarnation* which, const absl::Status& why) {
  const std::shared_ptr<Incarnation> now = current_->get();
  if (now.get() != which) return;  // Of an earlier life.
  now->GiveUp(why);
  current_->Set(nullptr);
  SetState(InstanceState::kFailed, why);
  PlanRetry();
}

void InstanceRunner::StartFailed(const absl::Status& why) {
  params_.services->log->Warning(component_, "did not start", {{"reason", StdView(why.message())}});
  const bool fatal = spec().on_start_failure == StartFailurePolicy::kFail && !ever_started_;
  if (!fatal) PlanRetry();
  {
    absl::MutexLock lock(&mutex_);
    starting_ = false;
  }
  SetState(InstanceState::kFailed, why);
  if (fatal && params_.on_fatal) params_.on_fatal(name_, why);
}

void InstanceRunner::PlanRetry() {
  CancelRetry();
  if (!CheckReturns(spec().plugin).ok()) return;
  const absl::Duration delay = retry_.Next();
  const int64_t at = params_.services->clock->MonotonicNanos() + absl::ToInt64Nanoseconds(delay);
  {
    absl::MutexLock lock(&mutex_);
    retry_at_ns_ = at;
    info_.failures = retry_.failures();
  }
  retry_timer_ = params_.services->timers.ArmAt(at, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->Queue([self = self.get()] {
      // A Stop or Start that came in between has taken the plan back.
      if (std::exchange(self->retry_timer_, 0) != 0) self->DoStart().IgnoreError();
    });
  });
}

void InstanceRunner::CancelRetry() {
  if (retry_timer_ != 0) params_.services->timers.Cancel(std::exchange(retry_timer_, 0));
  absl::MutexLock lock(&mutex_);
  retry_at_ns_ = 0;
}

void InstanceRunner::EndPrepared() {
  if (prepared_ != nullptr) prepared_->Destroy().IgnoreError();  // It never ran.
  prepared_ = nullptr;
}

void InstanceRunner::LookAtCalls() {
  const std::shared_ptr<Incarnation> now = current_->get();
  if (now == nullptr) return;
  const CallWatch::Late late = now->LateCall(params_.services->clock->MonotonicNanos());
  if (!late) return;
  Queue([this, now, what = late.what] {
    DoHung(now.get(), absl::DeadlineExceededError(
                          absl::StrCat(what, ": did not return within ",
                                       absl::FormatDuration(params_.limits.lane_timeout))));
  });
}

// ---- telling
// -------------------------------------------------------------------------------------

void InstanceRunner::DescribeIncarnation(const Incarnation& incarnation) {
  {
    absl::MutexLock lock(&mutex_);
    info_.plugin_version = incarnation.plugin().info().version;
    const InstanceRoles before = RolesOf(info_);
    info_.interfaces = incarnation.tables().ids;
    info_.publishes = incarnation.tables().publishes;
    info_.link = incarnation.tables().deliver != nullptr && !info_.publishes;
    if (RolesOf(info_) == before) return;
  }
  Tell();
  if (params_.on_link_change) params_.on_link_change();
}

void InstanceRunner::SetState(InstanceState state, absl::Status reason) {
  {
    absl::MutexLock lock(&mutex_);
    if (info_.state != state) info_.since = params_.services->clock->Now();
    info_.state = state;
    info_.reason = std::move(reason);
    if (state == InstanceState::kStarted) info_.failures = 0;
    if (state == InstanceState::kConfigured || state == InstanceState::kFailed) adopting_ = false;
  }
  Tell();
}

void InstanceRunner::SetHealth(InstanceHealth health, std::string reason) {
  {
    absl::MutexLock lock(&mutex_);
    if (info_.health == health && info_.health_reason == reason) return;
    info_.health = health;
    info_.health_reason = std::move(reason);
  }
  Tell();
}

void InstanceRunner::Tell() {
  {
    absl::MutexLock lock(&mutex_);
    untold_ = true;
    if (std::exchange(telling_, true)) return;
  }
  TellUntilTold();
}

// One thread at a time, or an older state could be shown over a newer one: the driver and threads
// of the plugin come here at once.
void InstanceRunner::TellUntilTold() {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (closed_ || !std::exchange(untold_, false)) {
        telling_ = false;
        return;
      }
    }
    const InstanceInfo now = info();
    TellHealthTree(now);
    if (params_.on_change) params_.on_change(now);
  }
}

void InstanceRunner::TellHealthTree(const InstanceInfo& info) {
  if (params_.services->health == nullptr) return;
  params_.services->health->Set(component_, TreeState(info), TreeReason(info));
}

}  // namespace viaduct
