// The door of a road for files: what others want of it, until its thread takes it up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "plugins/common/delivery.h"
#include "plugins/common/file_job.h"

namespace viaduct {

// Thread-safe.
class FileDoor {
 public:
  static constexpr size_t kMaxLeftovers = 1'024;  // That wait to be taken up.

  // What the thread has not seen yet.
  struct Mail {
    std::deque<FileJob> begun;
    std::vector<uint64_t> cancelled;
    std::vector<FileLeftover> leftovers;
  };

  // `wake` has the thread take its mail.
  explicit FileDoor(std::function<void()> wake) : wake_(std::move(wake)) {}

  // From any thread. How many more jobs would be taken now.
  size_t credit() const;
  // It ends with one Ended unless this fails: UNAVAILABLE, there is no road; RESOURCE_EXHAUSTED, no
  // credit.
  absl::Status Begin(FileJob job);
  void Cancel(uint64_t token);
  // As Begin.
  absl::Status Discard(FileLeftover leftover);
  // Ends with one `done` within `limit`. False: one is under way.
  bool Probe(absl::Duration limit, ProbeFn done);
  // Waits until nothing is under way; false: something still was.
  bool Drain(absl::Duration timeout);

  // From the thread. So many jobs may be under way from now on.
  void Open(size_t limit);
  Mail Take();
  void Ended();  // A job.
  // Nothing more is taken, and probes end as `why` says, OK for an end in order. What had begun and
  // was not taken.
  std::deque<FileJob> Close(const absl::Status& why);
  int64_t probe_deadline_ns() const;  // Monotonic; 0: nobody asks.
  void FinishProbe(const absl::Status& status, absl::Duration round_trip = absl::ZeroDuration(),
                   const ProbeCost& cost = ProbeCost());

 private:
  const std::function<void()> wake_;
  mutable absl::Mutex mutex_;
  size_t limit_ ABSL_GUARDED_BY(mutex_) = 0;  // Of held_; 0: there is no road.
  size_t held_ ABSL_GUARDED_BY(mutex_) = 0;   // Begun and not ended.
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status ended_ ABSL_GUARDED_BY(mutex_);
  Mail mail_ ABSL_GUARDED_BY(mutex_);
  ProbeFn probe_ ABSL_GUARDED_BY(mutex_);  // null: nobody asks.
  int64_t probe_deadline_ns_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace viaduct
