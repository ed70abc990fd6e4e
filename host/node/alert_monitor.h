// Looks for what alerts are about, and says in log, health and metrics what was raised and cleared.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <string>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/executor.h"
#include "core/base/executor_timer_queue.h"
#include "core/config/alert_options.h"
#include "core/gateway/dispatcher.h"
#include "core/observe/alerts.h"
#include "core/observe/health_tree.h"
#include "core/observe/log.h"
#include "core/observe/metrics.h"
#include "core/plugin/instances.h"
#include "core/receive/receiver.h"
#include "core/spool/spool.h"
#include "core/transfer/transfers.h"
#include "host/node/alert_readings.h"

namespace viaduct {

// Thread-safe. Timers and executor must have been stopped when it is destroyed.
class AlertMonitor {
 public:
  static constexpr absl::Duration kInterval = absl::Seconds(1);

  struct Deps {  // All outlive it.
    const Clock* clock = nullptr;
    TimerQueue* timers = nullptr;
    Executor* executor = nullptr;
    Log* log = nullptr;
    HealthTree* health = nullptr;
    Metrics* metrics = nullptr;
    Instances* instances = nullptr;
    Dispatcher* dispatcher = nullptr;     // May be null: this node has no links.
    Spool* spool = nullptr;               // May be null.
    Transfers* transfers = nullptr;       // May be null.
    Receiver* receiver = nullptr;         // May be null.
    std::vector<std::string> data_paths;  // The data folder, then what may lie elsewhere.
    // Told of each alert that is raised or cleared, after log and health; must return at once.
    std::function<void(const Alert&)> tell;
  };

  AlertMonitor(const AlertOptions& options, Deps deps);

  // Looks each interval.
  void Start();
  // From now on nothing is raised or cleared: a road that stops with the node is not up again.
  void Stop() { stopping_.store(true); }
  const Alerts& alerts() const { return alerts_; }

 private:
  void Arm();
  void Look();
  void OnChange(const Alert& alert);
  void TellHealth();

  const Deps deps_;
  std::atomic<bool> stopping_{false};
  AlertReadings readings_;  // Of the looks alone.
  Alerts alerts_;
  std::array<MetricNumber, kAlertKinds> raised_{};
  MetricNumber active_ = 0;
};

}  // namespace viaduct
