// One piece of work that must not be forgotten.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/executor.h"
#include "core/base/executor_timer_queue.h"

namespace viaduct {

// Does the work at its time on an executor, and again each kPause until the work says that it is
// done or somebody takes the reminder back. Thread-safe.
class Reminder {
 public:
  static constexpr absl::Duration kPause = absl::Seconds(5);
  // True: done. It must look for itself whether it is still wanted: taking a reminder back does not
  // wait for work that has begun.
  using WorkFn = std::function<bool()>;

  // Both outlive the reminder and have been stopped when it is destroyed.
  Reminder(TimerQueue* timers, Executor* executor);
  Reminder(const Reminder&) = delete;
  Reminder& operator=(const Reminder&) = delete;

  // In place of what was set before.
  void Set(absl::Duration delay, WorkFn work);
  void TakeBack();

 private:
  void Arm(uint64_t number, absl::Duration delay) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnTime(uint64_t number);
  void Do(uint64_t number);

  TimerQueue* const timers_;
  Executor* const executor_;
  absl::Mutex mutex_;
  uint64_t number_ ABSL_GUARDED_BY(mutex_) =
      0;  // Of what was set last; the work of others is void.
  uint64_t timer_ ABSL_GUARDED_BY(mutex_) = 0;
  WorkFn work_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct
