// What dashboards are told of devices, of this node and of its exchanges: the broadcasts
// device_status, system_status and communication_status.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/executor.h"
#include "core/base/executor_timer_queue.h"
#include "core/lpr/fleet.h"
#include "core/lpr/fleet_calls.h"
#include "core/lpr/publisher.h"
#include "core/observe/alerts.h"
#include "core/observe/health_tree.h"
#include "core/observe/metrics.h"
#include "host/node/alert_marks.h"
#include "viaduct/control/v1/fleet.pb.h"

namespace viaduct {

// Thread-safe. Timers and executor must have been stopped when it is destroyed.
class FleetEvents {
 public:
  // How often communication_status comes at most, and silent devices are looked for.
  static constexpr absl::Duration kInterval = absl::Seconds(5);
  static constexpr int kSeenLooks = 12;  // How many looks apart connected nodes count as seen,
  static constexpr int kKnockLooks = 3;  // and lost roads are tried.

  struct Parts {  // All outlive it.
    std::string node_id;
    const Clock* clock = nullptr;
    TimerQueue* timers = nullptr;
    Executor* executor = nullptr;
    Publisher* publisher = nullptr;
    Metrics* metrics = nullptr;
    Fleet* fleet = nullptr;
    FleetCalls* calls = nullptr;
    std::function<void()> look;     // There may be news of devices.
    std::function<void()> silence;  // Devices that have fallen silent are to be looked for.
    std::function<void()> knock;    // Roads of this node that are lost are to be tried again.
  };

  explicit FleetEvents(Parts parts);

  void Start();  // Looks each interval.
  void OnNode(const control::v1::FleetNode& node);
  void OnHealth(const ComponentHealth& overall);
  // An alert was raised or cleared, or somebody has seen to it.
  void OnAlert(const Alert& alert, const std::optional<AlertMark>& mark,
               const ComponentHealth& overall);

 private:
  struct Counted {
    MetricNumber number = 0;
    uint64_t FleetStats::*total = nullptr;
    uint64_t seen = 0;
  };

  void Arm();
  void Look();
  void LookAtCommunication();
  void Publish(std::string_view event, std::string_view room, std::string_view body);

  const Parts parts_;
  std::vector<Counted> totals_;  // Of the looks alone.
  MetricNumber in_flight_ = 0;
  int looks_ = 0;
  bool seeing_ = false;             // There were too many connected nodes for the last look.
  std::string told_communication_;  // Without the time.
  absl::Mutex mutex_;
  HealthState told_ ABSL_GUARDED_BY(mutex_) = HealthState::kHealthy;
};

}  // namespace viaduct
