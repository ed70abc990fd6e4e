// How long to wait before trying again: exponential back-off with jitter. The only retry policy of
// the node; plugins have none.
#pragma once

#include <algorithm>
#include <cstdint>

#include "absl/random/bit_gen_ref.h"
#include "absl/random/distributions.h"
#include "absl/time/time.h"

namespace viaduct {

// Thread-compatible. Knows no clock: the caller waits.
class RetryPolicy {
 public:
  struct Options {
    absl::Duration initial_delay = absl::Milliseconds(200);
    absl::Duration max_delay = absl::Seconds(60);
    double multiplier = 2;
    double jitter = 0.2;  // A delay is spread evenly over this share to both sides.
  };

  // `random` must outlive the policy.
  RetryPolicy(Options options, absl::BitGenRef random) : options_(options), random_(random) {}

  // How long to wait after so many failures in a row, for callers that keep the count elsewhere.
  static absl::Duration DelayAfter(const Options& options, uint32_t failures,
                                   absl::BitGenRef random) {
    absl::Duration base = options.initial_delay;
    for (uint32_t i = 1; i < failures && i < 64 && base < options.max_delay; ++i) {
      base *= options.multiplier;
    }
    base = std::min(base, options.max_delay);
    const double spread = absl::Uniform(random, -options.jitter, options.jitter);
    return std::min(base * (1 + spread), options.max_delay);
  }

  // Counts one more failure and says how long to wait now.
  absl::Duration Next() {
    ++failures_;
    const absl::Duration base = next_base_;
    next_base_ = std::min(base * options_.multiplier, options_.max_delay);
    const double spread = absl::Uniform(random_, -options_.jitter, options_.jitter);
    return std::min(base * (1 + spread), options_.max_delay);
  }

  // It worked: the next failure is the first again.
  void Reset() {
    failures_ = 0;
    next_base_ = options_.initial_delay;
  }

  uint32_t failures() const { return failures_; }  // In a row.

 private:
  const Options options_;
  absl::BitGenRef random_;
  absl::Duration next_base_ = options_.initial_delay;
  uint32_t failures_ = 0;
};

}  // namespace viaduct
