// How fast a backup may read and write and how much room it leaves, so that the node beside it
// keeps its disk; and whether it is to end.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "core/base/clock.h"

namespace viaduct::backup {

// Thread-compatible.
class Pace {
 public:
  struct Options {
    uint64_t bytes_per_second = 0;                 // 0: no limit.
    std::string folder;                            // On the disk that is written, or "".
    uint64_t min_free_bytes = 0;                   // Of that disk, left to others.
    const absl::Notification* stopping = nullptr;  // May be null; outlives it.
  };
  Pace(Options options, const Clock* clock);

  // After so many bytes were moved; waits until they are paid for. CANCELLED: it is to end.
  // RESOURCE_EXHAUSTED: less room than that is left.
  absl::Status Spend(uint64_t bytes);
  uint64_t spent() const { return spent_; }
  const absl::Notification* stopping() const { return options_.stopping; }

 private:
  static constexpr uint64_t kLookEvery = 8u << 20;  // Bytes between looks at the disk.

  absl::Status CheckSpace(uint64_t bytes);

  const Options options_;
  const Clock* const clock_;
  uint64_t spent_ = 0;
  uint64_t unseen_ = kLookEvery;  // Bytes since the last look.
  double owed_ = 0;               // Bytes that are not paid for yet.
  int64_t looked_ns_ = 0;
};

}  // namespace viaduct::backup
