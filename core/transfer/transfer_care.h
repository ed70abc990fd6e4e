// What becomes of local files that are confirmed: kept for a while, removed when the time or the
// space is over. A file that is not confirmed is never touched.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/observe/log.h"
#include "core/transfer/file_removal.h"
#include "core/transfer/local_file.h"
#include "core/transfer/transfer_queue.h"

namespace viaduct {

struct TransferCareOptions {
  absl::Duration keep = absl::ZeroDuration();  // After the confirmation.
  uint64_t min_free_bytes = 0;                 // With less free on the disk, the oldest go before;
  uint64_t max_held_bytes = UINT64_MAX;        // with more in the node's own folder, too.
};

// Thread-compatible.
class TransferCare {
 public:
  static constexpr size_t kMaxAtOnce = 1'000;  // Files that one look removes.

  // All outlive it. `free_bytes` says what the disk of the node's folder has left.
  TransferCare(TransferCareOptions options, TransferQueue* queue, const OwnedFolder* owned,
               const Clock* clock, Log* log, std::function<int64_t()> free_bytes)
      : options_(options),
        queue_(queue),
        removal_(queue, owned, log),
        clock_(clock),
        free_bytes_(std::move(free_bytes)) {}

  // Removes what is over. Returns how many files.
  size_t Look();

 private:
  const TransferCareOptions options_;
  TransferQueue* const queue_;
  const FileRemoval removal_;
  const Clock* const clock_;
  const std::function<int64_t()> free_bytes_;
  int64_t after_ = 0;  // Of those that are done: where the next look begins.
};

}  // namespace viaduct
