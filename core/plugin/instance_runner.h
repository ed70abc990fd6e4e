// The life of one instance over all its incarnations: starts, failures, back-off, restarts.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/executor.h"
#include "core/gateway/retry_policy.h"
#include "core/plugin/counters.h"
#include "core/plugin/frames.h"
#include "core/plugin/incarnation.h"
#include "core/plugin/instance.h"
#include "core/plugin/instance_services.h"
#include "core/plugin/link.h"
#include "core/plugin/registry.h"

namespace viaduct {

// Thread-safe. Everything that changes the state runs on one thread of its own, one step after the
// other, and every step is bounded by the limits. Must be held in a shared_ptr.
class InstanceRunner final : public std::enable_shared_from_this<InstanceRunner> {
 public:
  struct Params {
    InstanceLimits limits;
    InstanceServices* services = nullptr;
    PluginRegistry* plugins = nullptr;
    // Told after every change, on any thread; no lock is held. What is told last is what is true.
    std::function<void(const InstanceInfo&)> on_change;
    // info().link or .publishes has changed; on the driver, never on a stack of a plugin.
    std::function<void()> on_link_change;
    std::function<void(const std::string&, const absl::Status&)> on_fatal;
  };

  InstanceRunner(InstanceSpec spec, Params params);
  ~InstanceRunner();
  InstanceRunner(const InstanceRunner&) = delete;
  InstanceRunner& operator=(const InstanceRunner&) = delete;

  InstanceSpec spec() const;
  InstanceInfo info() const;
  std::shared_ptr<PluginLink> link() const { return link_; }
  std::shared_ptr<CurrentIncarnation> current() const { return current_; }
  std::shared_ptr<FrameConsumer> frames() const { return frames_; }

  // Creates and configures an incarnation for `spec` (of this name), touching nothing. On success
  // the caller passes it to Adopt or calls Destroy on it.
  absl::StatusOr<std::shared_ptr<Incarnation>> Prepare(const InstanceSpec& spec);

  // These wait for their end.
  absl::Status Start();
  absl::Status Stop();
  absl::Status Drain(absl::Duration limit);
  absl::Status Restart();

  // For Apply: the first stops what runs, the second takes the spec over with what Prepare gave
  // (or why it gave nothing) and begins to start it, without waiting, where the spec says so.
  void StopForChange();
  void Adopt(InstanceSpec spec, absl::StatusOr<std::shared_ptr<Incarnation>> prepared);

  // Drains, stops and joins; nothing is told any more afterwards. Not from a callback.
  void Close(absl::Duration limit);

  // True while what it was given is not configured yet, or its start is neither done nor failed.
  bool settling() const;
  // For the watchdog, on its thread.
  void LookAtCalls();

 private:
  // How long a life must have lasted for its end to count as the first failure in a row, also when
  // nothing was done in it. A road that is cut again and again, and carries something in between,
  // is not to wait longer and longer.
  static constexpr absl::Duration kStable = absl::Seconds(30);

  uint64_t WorkDone() const;  // By all lives so far: messages and calls that went through.
  absl::Status Run(std::function<absl::Status()> step);  // On the driver; waits.
  void Queue(std::function<void()> step);                // On the driver; does not wait.

  // FAILED_PRECONDITION once too many lives of the plugin, of all instances, have not come back.
  absl::Status CheckReturns(const std::string& plugin) const;

  // On the driver:
  absl::Status DoStart();
  absl::Status StartPrepared(const std::shared_ptr<Incarnation>& next);
  absl::Status DoStop(absl::Duration drain_limit, const absl::Status& why);
  void DoFailed(const Incarnation* which, const absl::Status& why);
  void DoHung(const Incarnation* which, const absl::Status& why);
  void StartFailed(const absl::Status& why);
  void PlanRetry();
  void CancelRetry();
  void EndPrepared();

  void SetState(InstanceState state, absl::Status reason = absl::OkStatus());
  void SetHealth(InstanceHealth health, std::string reason);
  void Tell();
  void TellUntilTold() ABSL_LOCKS_EXCLUDED(mutex_);
  void TellHealthTree(const InstanceInfo& info);
  void DescribeIncarnation(const Incarnation& incarnation);

  const Params params_;
  const std::string name_;
  const std::string component_;
  const std::shared_ptr<Counters> counters_ = std::make_shared<Counters>();
  const std::shared_ptr<LinkHandlers> handlers_ = std::make_shared<LinkHandlers>();
  const std::shared_ptr<CurrentIncarnation> current_ = std::make_shared<CurrentIncarnation>();
  const std::shared_ptr<FrameConsumer> frames_ = std::make_shared<FrameConsumer>();
  const std::shared_ptr<PluginLink> link_;

  // Of the driver alone:
  std::shared_ptr<Incarnation> prepared_;
  bool ever_started_ = false;
  int64_t started_at_ns_ = 0;
  uint64_t work_at_start_ = 0;
  uint64_t retry_timer_ = 0;
  absl::BitGen random_;
  RetryPolicy retry_;

  mutable absl::Mutex mutex_;
  InstanceSpec spec_ ABSL_GUARDED_BY(mutex_);
  InstanceInfo info_ ABSL_GUARDED_BY(mutex_);
  bool telling_ ABSL_GUARDED_BY(mutex_) = false;  // Some thread is in TellUntilTold.
  bool untold_ ABSL_GUARDED_BY(mutex_) = false;   // Something has changed since it looked.
  int64_t retry_at_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  bool adopting_ ABSL_GUARDED_BY(mutex_) = false;  // Until it is configured, or has failed.
  bool starting_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<bool> closed_{false};

  ThreadPool driver_;  // Last: its thread uses all of the above.
};

}  // namespace viaduct
