// One thread that runs what it is given, in order, some of it later: a lane, or the thread on which
// the test host answers.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

namespace viaduct::check {

// Thread-safe.
class Worker {
 public:
  using Task = std::function<void()>;
  using Clock = std::chrono::steady_clock;

  Worker() : thread_([this] { Run(); }) {}
  ~Worker() { Stop(true); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // False after Stop. The number names the task, for Cancel.
  bool Post(Task task, uint64_t* number = nullptr) {
    return PostIn(std::chrono::nanoseconds(0), std::move(task), number);
  }
  bool PostIn(std::chrono::nanoseconds delay, Task task, uint64_t* number = nullptr);
  // False where it has run, is running or never was.
  bool Cancel(uint64_t number);
  // Runs `task` on the thread and waits for it.
  void RunNow(const Task& task);
  // Runs what was posted for now (when `finish`), drops the rest, ends the thread.
  void Stop(bool finish);

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
  bool finish_ = false;
  uint64_t last_number_ = 0;
  // By time, then order.
  std::map<std::pair<Clock::time_point, uint64_t>, Task> tasks_;
  std::thread thread_;
};

}  // namespace viaduct::check
