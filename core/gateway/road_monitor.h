// Measures roads that carry no messages, such as those for files, with probes: traffic tells
// nothing of them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/base/clock.h"
#include "core/base/executor_timer_queue.h"
#include "core/gateway/link_meter.h"
#include "core/gateway/network_monitor.h"

namespace viaduct {

// Thread-safe. Metered roads are never probed.
class RoadMonitor {
 public:
  static constexpr size_t kMaxRoads = 64;

  struct Road {
    std::string name;
    bool metered = false;
    std::function<bool()> ready;
  };

  // All must outlive the monitor; the timers may call until they are stopped.
  RoadMonitor(NetworkMonitor::Options options, TimerQueue* timers, const Clock* clock,
              NetworkMonitor::ProbeFn probe)
      : options_(options), timers_(timers), clock_(clock), probe_(std::move(probe)) {}

  // What is known of a road stays as long as it is among them.
  void SetRoads(std::vector<Road> roads);
  // Looks once a second from now on.
  void Start();
  // One look: begins the probes that are due.
  void Look();
  // None: nothing was measured yet.
  std::optional<LinkReading> Read(const std::string& road) const;

 private:
  static constexpr absl::Duration kLook = absl::Seconds(1);

  struct Known {
    Road road;
    std::shared_ptr<LinkMeter> meter;
    bool under_way = false;
    bool answered = true;   // The last probe.
    int64_t probed_ns = 0;  // Begun; 0: never.
  };
  bool IsDue(const Known& known, bool ready, int64_t now_ns) const;
  void End(const std::string& road, const NetworkMonitor::Result& result);

  const NetworkMonitor::Options options_;
  TimerQueue* const timers_;
  const Clock* const clock_;
  const NetworkMonitor::ProbeFn probe_;
  mutable absl::Mutex mutex_;
  std::map<std::string, Known> known_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct
