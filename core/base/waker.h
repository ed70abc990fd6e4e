// A wake-up call for one waiting thread. Waits on the monotonic clock: Abseil's timed waits of
// Debian 12 follow the wall clock, so that setting it back would stall them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <limits>
#include <mutex>

namespace viaduct {

// Thread-safe; one waiter at a time.
class Waker {
 public:
  static constexpr int64_t kForever = std::numeric_limits<int64_t>::max();

  // The current or the next Wait returns at once. Calls before it merge into one.
  void Wake() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (called_) return;
      called_ = true;
    }
    condition_.notify_one();
  }

  // Returns when called or after `timeout_ns`, whichever comes first; at once when <= 0.
  void Wait(int64_t timeout_ns) {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto called = [this] { return called_; };
    if (timeout_ns == kForever) {
      condition_.wait(lock, called);
    } else if (timeout_ns > 0) {
      // Far deadlines are cut: adding them to now would overflow, and the caller looks again.
      constexpr int64_t kLongest = 3'600'000'000'000;
      const std::chrono::nanoseconds wait(timeout_ns < kLongest ? timeout_ns : kLongest);
      condition_.wait_until(lock, std::chrono::steady_clock::now() + wait, called);
    }
    called_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool called_ = false;
};

}  // namespace viaduct
