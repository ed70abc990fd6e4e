// A thread that waits in poll and is woken by others.
#pragma once

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <thread>
#include <utility>

#include "absl/status/status.h"

namespace viaduct {

// Wake may be called from any thread between Open and Stop, the rest from one.
class WakingThread {
 public:
  WakingThread() = default;
  WakingThread(const WakingThread&) = delete;
  WakingThread& operator=(const WakingThread&) = delete;
  ~WakingThread() { Stop(); }

  absl::Status Open() {
    descriptor_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (descriptor_ < 0) return absl::ResourceExhaustedError("eventfd: none left");
    return absl::OkStatus();
  }

  // The host's signals are not for it, and a broken pipe is told by write.
  template <typename Run>
  void Start(Run run) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread(std::move(run));
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void Wake() const {
    const uint64_t one = 1;
    // A counter that is full has woken the thread already.
    if (descriptor_ >= 0 && write(descriptor_, &one, sizeof(one)) < 0) return;
  }

  // To poll for POLLIN; Clear before what it tells of is looked at.
  int descriptor() const { return descriptor_; }
  void Clear() const {
    uint64_t count = 0;
    if (read(descriptor_, &count, sizeof(count)) < 0) return;  // It was not woken.
  }

  // Waits for its end, which somebody has told it of.
  void Join() {
    if (thread_.joinable()) thread_.join();
  }
  void Stop() {
    Join();
    if (descriptor_ >= 0) close(std::exchange(descriptor_, -1));
  }

 private:
  int descriptor_ = -1;
  std::thread thread_;
};

}  // namespace viaduct
