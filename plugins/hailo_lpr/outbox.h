// Events that the node has not confirmed yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace viaduct::hailo_lpr {

// What the node said of an event.
enum class EventOutcome { kDurable, kRetry, kRejected, kLost };

// Keeps what the node does not take now, and gives it again. Bounded: Add waits. Thread-safe.
class Outbox {
 public:
  static constexpr size_t kMostEvents = 256;
  static constexpr size_t kMostBytes = 24u << 20;  // One event always fits.
  static constexpr absl::Duration kFirstRetry = absl::Milliseconds(500);
  static constexpr absl::Duration kLongestRetry = absl::Seconds(30);

  // None is called with a lock held.
  struct Hooks {
    // Hands one over; false: no room now, OnRoom follows.
    std::function<bool(uint64_t token, const std::string& json)> submit;
    // Calls OnRoom on some thread, not before so long.
    std::function<void(absl::Duration)> wake_after;
    std::function<absl::Time()> now;  // Never jumps.
    std::function<void(EventOutcome, const absl::Status&)> on_end;
  };

  explicit Outbox(Hooks hooks) : hooks_(std::move(hooks)) {}

  // Waits for room. `ended`: once it is durable, or why it never will be.
  void Add(std::string json, std::function<void(const absl::Status&)> ended);
  // Gives what is due.
  void Pump();
  void OnRoom();
  void OnDone(uint64_t token, EventOutcome outcome, const absl::Status& status,
              absl::Duration retry_after);
  // Waits until all have ended; false: not in time.
  bool Drain(absl::Duration timeout);
  // Ends all that are left, as kLost; Add waits no more.
  void Stop();

  size_t size() const;

 private:
  struct Letter {
    std::shared_ptr<const std::string> json;
    std::function<void(const absl::Status&)> ended;
    bool under_way = false;
    absl::Time due = absl::InfinitePast();
    absl::Duration pause = kFirstRetry;
  };

  bool HasRoom() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool IsEmpty() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool Take(Letter* letter) ABSL_LOCKS_EXCLUDED(mutex_);
  bool NextDue(uint64_t* token, std::shared_ptr<const std::string>* json);
  void PutBack(uint64_t token);
  Letter Take(std::map<uint64_t, Letter>::iterator at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(const Letter& letter, EventOutcome outcome, const absl::Status& status) const;

  const Hooks hooks_;
  mutable absl::Mutex mutex_;
  std::map<uint64_t, Letter> letters_ ABSL_GUARDED_BY(mutex_);  // In order of their making.
  uint64_t last_token_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool full_ ABSL_GUARDED_BY(mutex_) = false;  // The node has no room.
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace viaduct::hailo_lpr
