// The share of what failed in the last while.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "absl/time/time.h"

namespace viaduct {

// Of totals that are looked at now and then. Thread-compatible.
class ErrorWindow {
 public:
  static constexpr size_t kSamples = 64;  // Kept of a window, which they divide evenly.

  // Totals as they are now; one that is less than before begins anew. Monotonic.
  void Add(uint64_t confirmed, uint64_t failed, absl::Duration window, int64_t now_ns);
  // None when fewer than `min` have ended in the window.
  std::optional<double> Share(uint64_t min) const;
  // In the window.
  uint64_t Confirmed() const;

 private:
  struct Sample {
    int64_t at_ns = 0;
    uint64_t confirmed = 0;
    uint64_t failed = 0;
  };

  std::deque<Sample> samples_;  // The first one is as old as the window, where it is known so long.
  Sample now_;
};

}  // namespace viaduct
