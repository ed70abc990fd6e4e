// What the host does for an instance: log, clock, config, post, timers, buffers, metrics, health.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "core/config/config_view.h"
#include "core/message/exchange.h"
#include "core/observe/log.h"
#include "core/observe/metrics.h"
#include "viaduct/abi/abi.h"

namespace viaduct {

class Incarnation;

// Counts an instance's buffers; lives until the last of them is gone.
struct BufferAccount {
  explicit BufferAccount(uint64_t limit) : limit(limit) {}
  const uint64_t limit;
  std::atomic<uint64_t> used{0};
};

// A buffer of `size` octets with one reference, or null when the account is full.
vd_buffer* MakeBuffer(const std::shared_ptr<BufferAccount>& account, uint64_t size);

// One more reference to a buffer of the host. Of a plugin's own buffer, which must not outlive the
// plugin, a copy in the account. Null when that is full.
vd_buffer* ShareOrCopy(const std::shared_ptr<BufferAccount>& account, vd_buffer* buffer);

// Thread-safe.
class HostSide {
 public:
  explicit HostSide(Incarnation* owner);
  ~HostSide();

  // vd_host.query.
  static const void* Query(const vd_host* host, vd_str id);

  // The config is readable between the two; afterwards every read is refused.
  const vd_config* OpenConfig(std::shared_ptr<const ConfigView> view);
  void CloseConfig();

  // No timer of the instance will run any more, nor be armed.
  void DropTimers();

  const std::shared_ptr<BufferAccount>& buffers() const { return buffers_; }
  uint64_t dropped_logs() const { return dropped_logs_.load(std::memory_order_relaxed); }

  // ---- for the tables (host_tables.cc) ---------------------------------------------------------
  // Null outside of configure.
  static std::shared_ptr<const ConfigView> ViewOf(const vd_config* config);
  void WriteLog(LogLevel level, std::string_view message, const Attributes& fields);
  const std::string& component() const { return component_; }
  int32_t Post(uint32_t lane, vd_task_fn task, void* user);
  int32_t Arm(uint32_t lane, int64_t delay_ns, vd_task_fn task, void* user, uint64_t* out);
  int32_t Cancel(uint64_t timer);
  int32_t AddMetric(const vd_metric* metric, uint32_t* out);
  // The node's number for the plugin's; 0 for one that was not given.
  uint32_t MetricOf(uint32_t number) const;

 private:
  struct Config;
  struct Timer {
    uint32_t lane = 0;
    vd_task_fn task = nullptr;
    void* user = nullptr;
    uint64_t armed = 0;  // Its name in the host's TimerQueue; 0 once it waits on its lane.
  };
  static constexpr uint32_t kMaxMetrics = 256;

  bool MayLog();
  int32_t CheckTask(uint32_t lane, vd_task_fn task) const;
  uint64_t ArmInQueue(uint64_t timer, absl::Duration delay);
  void Fire(uint64_t timer);
  void RunTimer(uint64_t timer);
  int32_t NumberMetric(const MetricSpec& spec, uint32_t* out);

  Incarnation* const owner_;
  const std::string component_;  // "instance/<name>"
  const std::shared_ptr<BufferAccount> buffers_;
  const std::unique_ptr<Config> config_;
  std::atomic<uint64_t> dropped_logs_{0};

  absl::Mutex mutex_;
  double log_tokens_ ABSL_GUARDED_BY(mutex_);
  int64_t log_refilled_ns_ ABSL_GUARDED_BY(mutex_);
  bool timers_closed_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_timer_ ABSL_GUARDED_BY(mutex_) = 1;
  absl::flat_hash_map<uint64_t, Timer> timers_ ABSL_GUARDED_BY(mutex_);
  // The plugin's numbers (1 to 256) to those of Metrics; 0: not given.
  std::array<std::atomic<uint32_t>, kMaxMetrics + 1> metrics_{};
  uint32_t metric_count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace viaduct
