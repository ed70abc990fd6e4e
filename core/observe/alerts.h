// Conditions that somebody should know of: each is raised once, when it has held for a while, and
// cleared once, when it has been over for a while.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"

namespace viaduct {

enum class AlertKind : uint8_t {
  kLinkErrors,    // Share of the deliveries of a link that fail.
  kLinkDown,      // 1: a link does not reach its peer.
  kBacklogAge,    // Seconds that the oldest message has waited.
  kBacklogBytes,  // Share of the bound of the back-log that is in use.
  kDiskFree,      // Share of a file system with data that is free: the less, the worse.
  kDeadLetters,   // Messages that were set aside.
  kFailedFiles,   // Files that were given up.
  kFilesBytes,    // Share of the bound of the node's own files that is in use.
  kDeviceQuota,   // 1: a device has put in more files than it may.
};
inline constexpr size_t kAlertKinds = 9;
std::string_view AlertKindName(AlertKind kind);  // "link_errors", ...
// "critical": messages or files may soon be refused, or do not arrive; else "warning".
std::string_view AlertSeverity(AlertKind kind);

struct AlertRule {
  bool enabled = true;
  double raise = 1;  // At it and beyond the condition holds;
  double clear = 0;  // at it and before the condition is over; between them nothing changes.
  absl::Duration hold = absl::ZeroDuration();        // How long it must hold to be raised,
  absl::Duration clear_hold = absl::ZeroDuration();  // and be over to be cleared.
};
using AlertRules = std::array<AlertRule, kAlertKinds>;

struct Alert {
  std::string id;  // A UUID, of this one time.
  AlertKind kind = AlertKind::kLinkDown;
  std::string subject;  // The link; "" for the node as a whole.
  std::string text;     // For people, as of the time it was raised.
  double value = 0;     // What was measured when it was raised.
  double threshold = 0;
  absl::Time raised_at;
  std::optional<absl::Time> cleared_at;  // None while it is raised.
};

// What was measured just now.
struct AlertReading {
  AlertKind kind = AlertKind::kLinkDown;
  std::string subject;
  std::optional<double> value;  // None: nothing can be said now, and nothing changes.
};

// Thread-safe. Time is monotonic: a clock that is set raises and clears nothing.
class Alerts {
 public:
  static constexpr size_t kMaxPast = 100;
  static constexpr size_t kMaxWatched = 256;  // Subjects, raised or not; more are left out.
  using ChangeFn = std::function<void(const Alert&)>;

  // `on_change` is called for each alert that is raised or cleared, in order, on the thread of
  // Evaluate and without a lock. The clock must outlive the alerts.
  Alerts(AlertRules rules, const Clock* clock, ChangeFn on_change)
      : rules_(rules), clock_(clock), on_change_(std::move(on_change)) {}

  // One look. A subject that has no reading any more is gone: its alert is cleared at once. One
  // call at a time.
  void Evaluate(const std::vector<AlertReading>& readings);

  std::vector<Alert> Active() const;  // The oldest first.
  std::vector<Alert> Past() const;    // The last kMaxPast that were cleared, the oldest first.

 private:
  using Key = std::pair<AlertKind, std::string>;
  struct Watched {
    std::optional<int64_t> since_ns;  // Of the condition that would change it.
    std::optional<Alert> alert;       // While it is raised,
    uint64_t number = 0;              // as the how manieth.
    bool seen = false;                // In this look.
  };

  void LookLocked(const AlertReading& reading, int64_t now_ns, std::vector<Alert>* changes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RaiseLocked(const AlertReading& reading, Watched* watched, std::vector<Alert>* changes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ClearLocked(Watched* watched, std::vector<Alert>* changes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const AlertRules rules_;
  const Clock* const clock_;
  const ChangeFn on_change_;
  mutable absl::Mutex mutex_;
  std::map<Key, Watched> watched_ ABSL_GUARDED_BY(mutex_);
  uint64_t raised_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Alert> past_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct
