// Time is injected. Timers, back-off and time to live use MonotonicNanos(); stamps that people and
// peers read use Now(). No decision may depend on Now(): a node may start in 1970.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/time/time.h"

namespace viaduct {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Wall clock, may jump in either direction.
  virtual absl::Time Now() const = 0;
  // CLOCK_MONOTONIC in nanoseconds; never goes back within one boot.
  virtual int64_t MonotonicNanos() const = 0;
};

// Thread-safe.
class SystemClock final : public Clock {
 public:
  absl::Time Now() const override;
  int64_t MonotonicNanos() const override;
};

// For tests: stands still until told to move. Thread-safe.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(absl::Time now = absl::FromUnixSeconds(1705314600))
      : now_ns_(absl::ToUnixNanos(now)) {}
  absl::Time Now() const override { return absl::FromUnixNanos(now_ns_.load()); }
  int64_t MonotonicNanos() const override { return monotonic_ns_.load(); }
  // Time passes: both clocks move.
  void Advance(absl::Duration d) {
    now_ns_ += absl::ToInt64Nanoseconds(d);
    monotonic_ns_ += absl::ToInt64Nanoseconds(d);
  }
  // Somebody sets the wall clock: only Now() moves.
  void JumpWall(absl::Duration d) { now_ns_ += absl::ToInt64Nanoseconds(d); }

 private:
  std::atomic<int64_t> now_ns_;
  std::atomic<int64_t> monotonic_ns_{1'000'000'000};
};

}  // namespace viaduct
