#include "core/backup/pace.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/disk_files.h"
#include "core/base/status_macros.h"

namespace viaduct::backup {
namespace {

// What is owed for less than this is paid later: a wait costs a switch of threads.
constexpr absl::Duration kLeastWait = absl::Milliseconds(20);

absl::Status Ended() { return absl::CancelledError("backup: ended before it was whole"); }

}  // namespace

Pace::Pace(Options options, const Clock* clock)
    : options_(std::move(options)), clock_(clock), looked_ns_(clock->MonotonicNanos()) {}

absl::Status Pace::CheckSpace(uint64_t bytes) {
  unseen_ += bytes;
  if (options_.folder.empty() || unseen_ < kLookEvery) return absl::OkStatus();
  unseen_ = 0;
  const int64_t free = disk::FreeBytes(options_.folder);
  if (free >= static_cast<int64_t>(options_.min_free_bytes)) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(options_.folder, ": ", free,
                                                   " bytes are free, and ", options_.min_free_bytes,
                                                   " are to be left (min_free_bytes)"));
}

absl::Status Pace::Spend(uint64_t bytes) {
  spent_ += bytes;
  if (options_.stopping != nullptr && options_.stopping->HasBeenNotified()) return Ended();
  VD_RETURN_IF_ERROR(CheckSpace(bytes));
  if (options_.bytes_per_second == 0) return absl::OkStatus();
  const int64_t now = clock_->MonotonicNanos();
  const double rate = static_cast<double>(options_.bytes_per_second);
  const double paid = static_cast<double>(now - looked_ns_) * 1e-9 * rate;
  looked_ns_ = now;
  owed_ = std::max(0.0, owed_ - paid) + static_cast<double>(bytes);
  const absl::Duration wait = absl::Seconds(owed_ / rate);
  if (wait < kLeastWait) return absl::OkStatus();
  const absl::Notification never;
  const absl::Notification& end = options_.stopping != nullptr ? *options_.stopping : never;
  return end.WaitForNotificationWithTimeout(wait) ? Ended() : absl::OkStatus();
}

}  // namespace viaduct::backup
