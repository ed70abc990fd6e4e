// How fast the backlog may leave, over all links.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace viaduct {

// Lives on one thread.
class BacklogPace {
 public:
  // Messages a second, of which a second's worth may go at once; 0: no limit.
  explicit BacklogPace(double per_second) : per_second_(per_second), saved_(Most()) {}

  size_t Available(int64_t now_ns) {
    if (per_second_ <= 0) return std::numeric_limits<size_t>::max();
    if (last_ns_ != 0) {
      const double passed = static_cast<double>(now_ns - last_ns_) / kNanosPerSecond;
      saved_ = std::min(saved_ + passed * per_second_, Most());
    }
    last_ns_ = now_ns;
    return static_cast<size_t>(saved_);
  }
  void Spend(size_t messages) {
    if (per_second_ > 0) saved_ -= static_cast<double>(messages);
  }
  // When a message may go again; in the past when one may go now.
  int64_t NextNanos() const {
    if (per_second_ <= 0 || saved_ >= 1) return 0;
    return last_ns_ + static_cast<int64_t>((1 - saved_) / per_second_ * kNanosPerSecond) + 1;
  }

 private:
  static constexpr double kNanosPerSecond = 1e9;
  double Most() const { return std::max(per_second_, 1.0); }

  const double per_second_;
  double saved_;
  int64_t last_ns_ = 0;
};

}  // namespace viaduct
