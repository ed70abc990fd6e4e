// Measures links that nobody uses, and links that fail, with probes: what traffic tells of the
// others is enough.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/executor_timer_queue.h"
#include "core/gateway/dispatcher.h"

namespace viaduct {

// Thread-safe. With the defaults at most 120 probes an hour of a link at rest, 720 of one that
// fails. Metered links are never probed, and not those without a connection.
class NetworkMonitor {
 public:
  struct Options {
    bool enabled = true;
    absl::Duration interval = absl::Seconds(30);       // A link of which nothing was heard so long.
    absl::Duration retry_interval = absl::Seconds(5);  // A link that fails or did not answer.
    absl::Duration timeout = absl::Seconds(5);
    uint32_t payload_bytes = 0;  // Carried along where the protocol can.
  };
  struct Result {
    bool answered = false;
    absl::Duration round_trip = absl::ZeroDuration();
    uint64_t bytes = 0;  // Both directions.
  };
  using DoneFn = std::function<void(const Result&)>;
  // Measures the link of that name once and calls `done` exactly once, on any thread, soon after
  // `limit` at the latest. False: it cannot be measured, `done` is not called.
  using ProbeFn = std::function<bool(const std::string& link, absl::Duration limit,
                                     uint32_t payload_bytes, DoneFn done)>;

  // All must outlive the monitor; the timers may call until they are stopped.
  NetworkMonitor(Options options, Dispatcher* dispatcher, TimerQueue* timers, const Clock* clock,
                 ProbeFn probe)
      : options_(options),
        dispatcher_(dispatcher),
        timers_(timers),
        clock_(clock),
        probe_(std::move(probe)) {}

  // Looks once a second from now on.
  void Start();
  // One look: begins the probes that are due.
  void Look();

 private:
  static constexpr absl::Duration kLook = absl::Seconds(1);

  struct Known {
    bool under_way = false;
    int64_t probed_ns = 0;  // Begun; 0: never.
  };
  bool IsDue(const LinkStats& link, const Known& known, int64_t now_ns) const;

  const Options options_;
  Dispatcher* const dispatcher_;
  TimerQueue* const timers_;
  const Clock* const clock_;
  const ProbeFn probe_;
  absl::Mutex mutex_;
  std::map<LinkId, Known> known_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct
