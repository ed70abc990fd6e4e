#include "core/base/clock.h"

#include <ctime>

#include "absl/time/clock.h"

namespace viaduct {

absl::Time SystemClock::Now() const { return absl::Now(); }

int64_t SystemClock::MonotonicNanos() const {
  timespec ts{};
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec;
}

}  // namespace viaduct
