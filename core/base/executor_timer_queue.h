// Functions that run later.
#pragma once

#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/executor.h"

namespace viaduct {

// One thread that calls functions at their time on the monotonic clock. The functions must be
// short and must not block: they hand real work to somebody else. Thread-safe.
class TimerQueue final {
 public:
  struct Options {
    size_t max_timers = 65536;
  };

  explicit TimerQueue(const Clock* clock) : TimerQueue(clock, Options()) {}
  TimerQueue(const Clock* clock, Options options);
  // As Stop.
  ~TimerQueue();
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  // Calls `task` once, not before `deadline_ns` on the monotonic clock. Returns the timer's name,
  // never 0; 0 when there are too many timers or Stop has begun.
  uint64_t ArmAt(int64_t deadline_ns, Task task);
  uint64_t ArmAfter(absl::Duration delay, Task task);

  // True: the task will not run. False: it has run, is running or never was.
  bool Cancel(uint64_t timer);
  // As Cancel, but when the task is just running waits for its end (not from inside a task).
  bool CancelAndWait(uint64_t timer);

  // Forgets all timers and joins the thread. Not from inside a task.
  void Stop();

  // For tests with a FakeClock: time has moved, look again.
  void Wake();

  size_t size() const;

 private:
  using Key = std::pair<int64_t, uint64_t>;  // Deadline, then order of arming.

  void Loop();
  bool Due() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  const Clock* const clock_;
  const Options options_;
  mutable absl::Mutex mutex_;
  absl::CondVar changed_;
  absl::btree_map<Key, Task> tasks_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, int64_t> deadlines_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t running_ ABSL_GUARDED_BY(mutex_) = 0;  // The timer whose task runs now.
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct
