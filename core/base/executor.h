// Threads that run tasks: a named pool of fixed size. See executor_strand.h for serial execution
// and executor_timer_queue.h for later.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace viaduct {

using Task = std::function<void()>;

// Gives the calling thread a name that debuggers and /proc show; cut to the kernel's 15 octets.
void SetThreadName(std::string_view name);

// Runs tasks. Thread-safe.
class Executor {
 public:
  virtual ~Executor() = default;
  // Queues one task; false when the queue is full or Stop has begun: the task will not run.
  virtual bool Submit(Task task) = 0;
};

// `threads` threads, started with the first task so that an idle owner costs nothing, and one
// bounded queue in order of arrival. Thread-safe.
class ThreadPool final : public Executor {
 public:
  struct Options {
    std::string name = "pool";
    int threads = 1;            // 1 to kMaxThreads.
    size_t max_queued = 65536;  // Tasks that wait for a thread.
  };
  static constexpr int kMaxThreads = 64;

  explicit ThreadPool(Options options);
  // As Stop without a limit.
  ~ThreadPool() override;
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  bool Submit(Task task) override;

  // Takes no more tasks, runs what is queued and joins every thread. A thread that is still inside
  // a task when `limit` has passed is abandoned: it keeps what its task holds alive, ends by itself
  // should the task ever return, and is never joined. Returns the number of abandoned threads. Not
  // from inside a task. A second call does nothing and returns 0.
  int Stop(absl::Duration limit = absl::InfiniteDuration());

  size_t queued() const;

  // True on a thread of this pool.
  bool IsCurrent() const;

 private:
  struct State;  // Shared with the threads, so that an abandoned one finds firm ground.
  static void Loop(const std::shared_ptr<State>& state, int index);
  static bool StartThread(const std::shared_ptr<State>& state, int index);

  const std::shared_ptr<State> state_;
};

}  // namespace viaduct
