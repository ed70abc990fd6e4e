// Serial execution without a thread of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/executor.h"

namespace viaduct {

// A token of serial execution: whatever runs on one strand runs one after the other, never two at
// once. A caller that finds the strand idle may run right on its own thread (TryEnter, two
// uncontended mutex operations and no hop); everything else is queued with Post and runs on the
// executor, in order. Thread-safe. Must be held in a shared_ptr: queued work keeps it alive.
class Strand final : public std::enable_shared_from_this<Strand> {
 public:
  struct Options {
    size_t max_queued = 4096;
    int max_run = 64;  // Tasks run in a row before the executor's other work gets a turn.
    // Called when the strand has come to rest after a TryEnter that failed; on any thread, off the
    // strand, never from inside TryEnter or Post.
    std::function<void()> on_idle;
  };

  // `executor` must outlive every use of the strand but Close.
  Strand(Executor* executor, Options options);

  // True when the strand was idle: the caller is now on it and must call Exit. False when somebody
  // else is on it, tasks wait for it (Options::on_idle will tell) or it is closed.
  bool TryEnter();
  // Leaves the strand; queued tasks go on at the executor.
  void Exit();

  // Queues a task; false when the queue is full or the strand closed: the task will not run.
  bool Post(Task task);

  // Takes no more entries or tasks and waits until what was accepted has run, at most `limit`.
  // False when that has passed: somebody is stuck on the strand.
  bool Close(absl::Duration limit);

 private:
  void Drain();
  bool ScheduleLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool RestingLocked() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  Executor* const executor_;
  const Options options_;
  mutable absl::Mutex mutex_;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;       // Somebody is on the strand.
  bool scheduled_ ABSL_GUARDED_BY(mutex_) = false;  // A Drain is on its way at the executor.
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Task> queue_ ABSL_GUARDED_BY(mutex_);
  bool wanted_ ABSL_GUARDED_BY(mutex_) = false;  // A TryEnter failed since the last rest.
};

}  // namespace viaduct
