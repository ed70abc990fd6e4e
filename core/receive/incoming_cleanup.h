// Room in the folder into which devices put files: by age, by a quota for each device, and by what
// is left free on the disk. The oldest go first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/receive/incoming_folder.h"

namespace viaduct {

struct IncomingCleanupOptions {
  absl::Duration keep = absl::InfiniteDuration();  // Since the file arrived.
  uint64_t max_bytes_per_device = std::numeric_limits<uint64_t>::max();
  uint64_t min_free_bytes = 0;
};

struct IncomingCleanupDeps {
  std::function<bool(const IncomingEntry&)> in_use;  // Never removed; may be empty.
  std::function<int64_t()> free_bytes;               // Of the disk; negative: unknown.
};

struct IncomingCleanupResult {
  static constexpr size_t kMaxNamed = 100;

  size_t removed_files = 0;
  uint64_t removed_bytes = 0;
  size_t failed = 0;                    // Files that could not be removed.
  std::vector<std::string> over_quota;  // Devices that were, at most kMaxNamed.
  bool short_of_space = false;          // Still, with all removed that may be.
};

// Everything that lies there counts, announced or not, complete or not. Memory: a line for each
// device and 10,000 files. Call it on a thread that may wait for the disk.
IncomingCleanupResult CleanUpIncoming(const IncomingFolder& folder,
                                      const IncomingCleanupOptions& options,
                                      const IncomingCleanupDeps& deps, absl::Time now);

}  // namespace viaduct
