// One number of octets that all who keep what peers send share, so that many who are each within
// their limits do not together take all there is.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "absl/status/status.h"

namespace viaduct::security {

class MemoryBudget;

// Octets that are given back at the end. Movable; thread-compatible.
class MemoryShare {
 public:
  MemoryShare() = default;
  MemoryShare(MemoryShare&& other) noexcept
      : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  MemoryShare& operator=(MemoryShare&& other) noexcept;
  ~MemoryShare() { Release(); }

  // More or less of the same; where it can not be more, it stays as it is.
  absl::Status Resize(size_t bytes);
  void Release();
  size_t bytes() const { return bytes_; }

 private:
  friend class MemoryBudget;
  MemoryBudget* budget_ = nullptr;
  size_t bytes_ = 0;
};

// Thread-safe, without a lock; outlives its shares.
class MemoryBudget {
 public:
  explicit MemoryBudget(size_t max_bytes) : max_bytes_(max_bytes) {}

  // RESOURCE_EXHAUSTED: there is not that much left, try again later.
  absl::Status Acquire(size_t bytes, MemoryShare* share);

  size_t max_bytes() const { return max_bytes_; }
  size_t used() const { return used_.load(std::memory_order_relaxed); }
  size_t peak() const { return peak_.load(std::memory_order_relaxed); }
  uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  friend class MemoryShare;
  bool Take(size_t bytes);
  void Give(size_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }

  const size_t max_bytes_;
  std::atomic<size_t> used_{0};
  std::atomic<size_t> peak_{0};
  std::atomic<uint64_t> refused_{0};
};

}  // namespace viaduct::security
