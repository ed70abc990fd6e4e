// A full disk: what is still taken, and how confirmed messages make room on it.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/spool/spool_impl.h"

namespace viaduct {
namespace {

using spool_internal::FreeBytes;

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr size_t kMostRemovalsWhenFull = 4096;
constexpr int64_t kMostGivenBackPages = 1 << 20;
constexpr int64_t kLeastGivenBackPages = 16;
// Inner pages, counters and maps that a transaction writes besides its rows.
constexpr int64_t kTransactionBytes = 64 << 10;
// So much more than what was refused must fit before the disk is said to have room again.
constexpr int64_t kRegainedBytes = 256 << 10;

// Upper bound of what a group takes in the log: its rows on pages that are not quite full.
int64_t LogBytes(size_t rows, size_t bytes) {
  const auto octets = static_cast<int64_t>(bytes + rows * spool_internal::kRowOverheadBytes);
  return octets + octets / 8 + kTransactionBytes;
}

}  // namespace

void Spool::Impl::HandleFailure(Work* work, Effects* effects, const absl::Status& status) {
  const bool full = absl::IsResourceExhausted(status);
  const bool news = full ? !disk_full_.exchange(true) : !std::exchange(cannot_write_, true);
  if (news) log_->Error("spool", "cannot write", {{"error", StdView(status.message())}});
  const absl::Status answer =
      full || absl::IsUnavailable(status) ? status : absl::UnavailableError(status.message());
  GiveBack(effects);
  Refuse(work, answer);
  if (full) spared_ = false;
  if (full && Usable()) {
    reserve_.Release();
    RemoveInSmallGroups(work);
    GiveSpaceBack();
    RegainSpace();
  }
  if (work->removals.empty() && work->attempts.empty()) return;
  retry_at_ns_ = clock_->MonotonicNanos() + kSecondNs;
  Requeue(std::move(work->removals), std::move(work->attempts));
}

// What is appended lies in the log first and in the database later. It is taken only while both
// have room for it: then the log can always be emptied, and a disk that is full of messages can
// be drained. A message that is too large for what is left is refused, a smaller one is taken.
void Spool::Impl::RefuseWithoutRoom(Work* work) {
  int64_t all = 0;
  for (const AppendGroup& group : work->appends) all += LogBytes(group.rows.size(), group.bytes);
  if (HasRoom(all)) return;  // The usual case asks the file system once.
  Work refused;
  std::vector<AppendGroup> taken;
  int64_t bytes = 0;
  for (AppendGroup& group : work->appends) {
    const int64_t needed = LogBytes(group.rows.size(), group.bytes);
    if (HasRoom(bytes + needed)) {
      bytes += needed;
      taken.push_back(std::move(group));
    } else {
      room_wanted_ = bytes + needed;
      refused.appends.push_back(std::move(group));
    }
  }
  work->appends = std::move(taken);
  if (refused.appends.empty()) return;
  spared_ = FitsOnDisk(room_wanted_, 0);
  if (!disk_full_.exchange(true)) {
    log_->Error("spool", "the disk has no room for more",
                {{"free", absl::StrCat(FreeBytes(options_.path))},
                 {"needed", absl::StrCat(2 * room_wanted_)},
                 {"min_free_bytes", absl::StrCat(options_.min_free_bytes)}});
  }
  Refuse(&refused, absl::ResourceExhaustedError(
                       spared_ ? absl::StrCat("spool: the disk would have less free than "
                                              "min_free_bytes, ",
                                              options_.min_free_bytes)
                               : "spool: the disk is full"));
}

bool Spool::Impl::FitsOnDisk(int64_t bytes, uint64_t spared) const {
  const int64_t waiting = int64_t{writer_->log_pages()} * spool_internal::kPageBytes;
  return FreeBytes(options_.path) - static_cast<int64_t>(spared) >= waiting + 2 * bytes;
}

// For so much in the log and then in the database, beside what waits in the log already and what is
// left to others.
bool Spool::Impl::HasRoom(int64_t bytes) {
  if (FitsOnDisk(bytes, options_.min_free_bytes)) return true;
  GiveSpaceBack();
  return FitsOnDisk(bytes, options_.min_free_bytes);
}

// The reserve is back and what was refused would fit: there is room again.
bool Spool::Impl::RegainSpace() {
  if (!reserve_.held()) GiveSpaceBack();
  if (!reserve_.Ensure() || !HasRoom(room_wanted_ + kRegainedBytes)) return false;
  room_wanted_ = 0;
  if (disk_full_.exchange(false)) log_->Info("spool", "the disk has room again");
  return true;
}

// A log whose pages do not fit into the file any more holds the whole disk: first the free pages at
// the end of the file are cut off, which needs a few pages of log, and then what is left of the log
// fits. What fails here is tried again with the next message.
void Spool::Impl::GiveSpaceBack() {
  absl::MutexLock read(&read_mutex_);
  for (int64_t pages = kMostGivenBackPages; pages >= kLeastGivenBackPages; pages /= 4) {
    if (writer_->Shrink(static_cast<int>(pages)).ok()) break;
  }
  writer_->Checkpoint(/*restart=*/true).IgnoreError();
}

// As many at once as the reserve has log for: the more, the fewer pages are written twice. Each
// group is followed by a checkpoint, so that the log starts anew; where the disk has no room for
// one, the removals go on all the same.
void Spool::Impl::RemoveInSmallGroups(Work* work) {
  std::vector<Removal> left = std::move(work->removals);
  work->removals.clear();
  size_t done = 0;
  size_t at_once = kMostRemovalsWhenFull;
  while (done < left.size() && at_once > 0) {
    const size_t count = std::min(at_once, left.size() - done);
    Work group;
    const auto first = left.begin() + static_cast<std::ptrdiff_t>(done);
    group.removals.assign(first, first + static_cast<std::ptrdiff_t>(count));
    Effects effects;
    const absl::Status status = Transaction(&group, &effects);
    if (!status.ok()) {
      if (!absl::IsResourceExhausted(status)) break;
      at_once = count / 4;
      continue;
    }
    Publish(&group, &effects);
    done += count;
    GiveSpaceBack();
  }
  work->removals.assign(std::make_move_iterator(left.begin() + static_cast<std::ptrdiff_t>(done)),
                        std::make_move_iterator(left.end()));
}

}  // namespace viaduct
