// How much may be sent now, so that it is no more than so many octets a second.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace viaduct::sftp {

// Holds an eighth of a second at most: what was not used does not come as a burst.
// Thread-compatible.
class TokenBucket {
 public:
  static constexpr size_t kLeastBytes = 1024;

  TokenBucket(uint64_t bytes_per_second, int64_t now_ns)
      : rate_(static_cast<double>(bytes_per_second)),
        capacity_(std::max(rate_ / 8, static_cast<double>(kLeastBytes))),
        at_ns_(now_ns) {}

  bool unlimited() const { return rate_ == 0; }
  // At most `wanted`; 0: not before next_ns().
  size_t Take(size_t wanted, int64_t now_ns) {
    if (unlimited()) return wanted;
    held_ = std::min(capacity_, held_ + rate_ * static_cast<double>(now_ns - at_ns_) / kSecondNs);
    at_ns_ = now_ns;
    const size_t whole = std::min<size_t>(wanted, kLeastBytes);
    if (held_ < static_cast<double>(whole)) return 0;
    const size_t taken = std::min(wanted, static_cast<size_t>(held_));
    held_ -= static_cast<double>(taken);
    return taken;
  }
  // When the bucket is full: larger pieces are cheaper than more of them.
  int64_t next_ns() const {
    return at_ns_ + static_cast<int64_t>((capacity_ - held_) / rate_ * kSecondNs) + 1;
  }

 private:
  static constexpr double kSecondNs = 1e9;
  double rate_;
  double capacity_;
  double held_ = 0;
  int64_t at_ns_;
};

}  // namespace viaduct::sftp
