// A door that many may be inside of and that can be closed for good.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace viaduct {

// Begins closed; Open and Close once each. Two atomic operations a pass. Thread-safe. Whoever is
// inside must keep the gate's owner alive until after Leave.
class CallGate {
 public:
  CallGate() = default;
  CallGate(const CallGate&) = delete;
  CallGate& operator=(const CallGate&) = delete;

  void Open() { word_.fetch_and(~kClosed); }

  // False: closed. True: Leave must follow.
  bool Enter() {
    if ((word_.fetch_add(1, std::memory_order_acquire) & kClosed) == 0) return true;
    Leave();
    return false;
  }
  void Leave() {
    if (word_.fetch_sub(1, std::memory_order_release) == (kClosed | 1)) {
      absl::MutexLock lock(&mutex_);  // Wakes Close: conditions are looked at on release.
    }
  }

  // Nobody enters any more; waits until all have left. False: `limit` has passed.
  bool Close(absl::Duration limit) {
    word_.fetch_or(kClosed);
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(this, &CallGate::Empty), limit);
  }

 private:
  static constexpr uint64_t kClosed = uint64_t{1} << 63;
  bool Empty() const { return word_.load(std::memory_order_acquire) == kClosed; }

  std::atomic<uint64_t> word_{kClosed};
  absl::Mutex mutex_;
};

// One pass through a gate.
class GatePass {
 public:
  explicit GatePass(CallGate* gate) : gate_(gate->Enter() ? gate : nullptr) {}
  ~GatePass() {
    if (gate_ != nullptr) gate_->Leave();
  }
  GatePass(const GatePass&) = delete;
  GatePass& operator=(const GatePass&) = delete;
  explicit operator bool() const { return gate_ != nullptr; }

 private:
  CallGate* const gate_;
};

}  // namespace viaduct
