// The clock of deadlines.
#pragma once

#include <chrono>
#include <cstdint>

namespace viaduct {

// Of a clock that does not jump.
inline int64_t MonotonicNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace viaduct
