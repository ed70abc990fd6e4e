// Bounds how much of a node's work is repetition, so that an outage is not made worse by its own
// retries.
#pragma once

#include <algorithm>
#include <cstdint>

namespace viaduct {

// First deliveries earn, repetitions at once spend; besides, so many a second are always free.
// Lives on one thread.
class RetryBudget {
 public:
  struct Options {
    double share = 0.2;      // Of the first deliveries.
    double per_second = 10;  // Free in any case.
    double most = 1'000;     // Saved up.
  };

  explicit RetryBudget(Options options) : options_(options), saved_(options.per_second) {}

  void OnFirst() { saved_ = std::min(saved_ + options_.share, options_.most); }

  // There is something to spend.
  bool Has(int64_t now_ns) {
    constexpr double kNanosPerSecond = 1e9;
    if (last_ns_ != 0) {
      const double passed = static_cast<double>(now_ns - last_ns_) / kNanosPerSecond;
      saved_ = std::min(saved_ + passed * options_.per_second, options_.most);
    }
    last_ns_ = now_ns;
    return saved_ >= 1;
  }

  // True: repeat at once. false: wait as after a failure.
  bool Spend(int64_t now_ns) {
    if (!Has(now_ns)) return false;
    saved_ -= 1;
    return true;
  }

 private:
  const Options options_;
  double saved_;
  int64_t last_ns_ = 0;
};

}  // namespace viaduct
