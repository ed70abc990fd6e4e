// What the writer does besides writing: damage, expiry, checkpoints, giving space back.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/crash_point.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/spool/spool_impl.h"

namespace viaduct {

using spool_internal::FirstKey;
using spool_internal::kClasses;
using spool_internal::LastKey;

namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int kForcedCheckpointFactor = 3;  // So far behind, and readers have to wait for it.
constexpr int64_t kRepairMemoryNs = 3'600 * kSecondNs;
constexpr int kMaxRepairs = 4;  // Then the disk, not the file, is broken.
// A repair reads the whole file: one that failed is tried again after a pause, each time a longer
// one.
constexpr int64_t kShortestRepairPauseNs = kSecondNs;
constexpr int64_t kLongestRepairPauseNs = 60 * kSecondNs;
constexpr int64_t kMaintenanceNs = 60 * kSecondNs;
constexpr int64_t kSweepRows = 2'000;
// Free pages that are worth the work, where what is in use is so small a part of them: to move one
// page takes SQLite a walk over all that are free, and what still drains will be free by itself.
constexpr int64_t kShrinkPages = 2'048;
constexpr int64_t kShrinkPart = 16;
// A step takes about so long, and then it rests: whoever appends waits for one step at most.
constexpr int64_t kShrinkStepNs = kSecondNs / 1'000;
constexpr int64_t kShrinkPauseNs = 20 * kShrinkStepNs;

}  // namespace

bool Spool::Impl::Usable() const { return writer_ != nullptr && damage_.empty(); }

int64_t Spool::Impl::RepairDueNanos() const {
  return damage_.empty() || failed_ ? kNever : next_repair_ns_;
}

// Nothing is written to a damaged file. One that could not be repaired (no room for a second copy,
// a disk that fails) is tried again when its time has come, whether anybody asks or not.
absl::Status Spool::Impl::RepairIfDamaged(const std::string& found) {
  if (damage_.empty()) damage_ = found;
  if (damage_.empty()) return absl::OkStatus();
  const int64_t now = clock_->MonotonicNanos();
  if (now - last_repair_ns_ > kRepairMemoryNs) repairs_ = 0;
  if (repairs_ >= kMaxRepairs && !failed_.exchange(true)) {
    log_->Error("spool", "damaged again and again, giving up", {{"error", damage_}});
  }
  if (failed_) return absl::UnavailableError("spool: damaged again and again, given up");
  if (now < next_repair_ns_) return absl::UnavailableError("spool: damaged, not repaired yet");
  const absl::Status status = Repair();
  last_repair_ns_ = clock_->MonotonicNanos();
  {
    absl::MutexLock lock(&mutex_);
    repair_error_ = std::string(status.message());
  }
  if (!status.ok()) {
    log_->Error("spool", "repair failed, tried again later",
                {{"error", StdView(status.message())},
                 {"after_s", absl::StrCat(repair_pause_ns_ / kSecondNs)}});
    // From the end: with a large file a repair takes longer than the pause.
    next_repair_ns_ = last_repair_ns_ + repair_pause_ns_;
    repair_pause_ns_ = std::min(2 * repair_pause_ns_, kLongestRepairPauseNs);
    return absl::UnavailableError(status.message());
  }
  ++repairs_;
  repair_pause_ns_ = kShortestRepairPauseNs;
  damage_.clear();
  CallReady();  // What could not be read before is there to be claimed.
  return absl::OkStatus();
}

absl::Status Spool::Impl::Repair() {
  log_->Error("spool", "file is damaged, salvaging", {{"error", damage_}, {"path", options_.path}});
  next_shrink_ns_ = kNever;
  absl::MutexLock read(&read_mutex_);
  reader_.reset();
  writer_.reset();
  const auto salvage = [&]() -> absl::StatusOr<spool_internal::OpenedSpool> {
    VD_ASSIGN_OR_RETURN(DamageReport report,
                        spool_internal::SalvageSpoolFile(options_.path, options_.vfs, damage_));
    VD_ASSIGN_OR_RETURN(spool_internal::OpenedSpool opened,
                        spool_internal::OpenSpoolFile(options_.path, options_.vfs, log_));
    opened.damages.push_back(std::move(report));
    return opened;
  };
  absl::StatusOr<spool_internal::OpenedSpool> opened = salvage();
  if (absl::IsResourceExhausted(opened.status())) {
    disk_full_ = true;
    reserve_.Release();  // For the next try.
  }
  // The old file is untouched or the new one complete: the next try starts where this one ended.
  VD_RETURN_IF_ERROR(opened.status());
  writer_ = std::move(opened->writer);
  reader_ = std::move(opened->reader);
  state_ = opened->state;
  RestartIndex(state_);
  absl::MutexLock lock(&mutex_);
  published_ = state_;
  for (DamageReport& report : opened->damages) {
    LogDamage(report);
    damages_.push_back(std::move(report));
  }
  queue_.damage.clear();  // Met by readers meanwhile, in the old file.
  return absl::OkStatus();
}

// What is out stays out; a row that did not make it becomes a ghost.
void Spool::Impl::RestartIndex(const SpoolState& state) {
  std::vector<int64_t> keys;
  {
    absl::MutexLock lock(&mutex_);
    index_.ForEachOut([&keys](int64_t key, OutEntry*) { keys.push_back(key); });
  }
  std::vector<int64_t> ghosts;
  for (const int64_t key : keys) {
    const absl::StatusOr<absl::optional<StoredRow>> row = writer_->ReadRow(key);
    if (!row.ok() || !row->has_value()) ghosts.push_back(key);
  }
  absl::MutexLock lock(&mutex_);
  for (const int64_t key : ghosts) {
    OutEntry* entry = index_.Find(key);
    if (entry != nullptr) entry->ghost = true;
  }
  index_.Restart(state);
}

void Spool::Impl::CheckpointIfDue() {
  if (!writer_->ShouldCheckpoint(options_.checkpoint_pages)) return;
  VD_CRASH_POINT("spool.checkpoint.before");
  absl::Status status;
  if (writer_->log_pages() >= options_.checkpoint_pages * kForcedCheckpointFactor) {
    absl::MutexLock read(&read_mutex_);
    status = writer_->Checkpoint(/*restart=*/true);
  } else {
    status = writer_->Checkpoint(/*restart=*/false);
  }
  VD_CRASH_POINT("spool.checkpoint.after");
  if (absl::IsDataLoss(status)) ReportDamage(std::string(status.message()));
}

void Spool::Impl::Maintain() {
  next_maintenance_ns_ = clock_->MonotonicNanos() + kMaintenanceNs;
  TellLosses();
  if (!Usable()) return;
  SweepExpired();
  ShrinkFile();
  PersistTime();
  if (DeadOverShare(state_)) next_maintenance_ns_ = clock_->MonotonicNanos() + kSecondNs;
}

bool Spool::Impl::AnythingExpires() const {
  return std::any_of(options_.time_to_live.begin(), options_.time_to_live.end(),
                     [](absl::Duration life) { return life != absl::InfiniteDuration(); });
}

// Spool time is written with every transaction. Where there is none, age must not be forgotten.
void Spool::Impl::PersistTime() {
  const auto& messages = state_.messages;
  const bool waiting =
      std::any_of(messages.begin(), messages.end(), [](int64_t n) { return n > 0; });
  const bool ages = AnythingExpires() && waiting;
  if (!Usable() || (disk_full_ && !spared_) || !(ages || DeadOverShare(state_))) return;
  if (SpoolNowMs() == state_.spool_ms && !DeadOverShare(state_)) return;
  Work nothing;
  Effects effects;
  const absl::Status status = Transaction(&nothing, &effects);
  if (status.ok()) Publish(&nothing, &effects);
  if (absl::IsDataLoss(status)) ReportDamage(std::string(status.message()));
}

// Walks a bounded part of the waiting messages, in turn through all of them. What is claimed is
// checked when it is claimed; this is for what nobody comes for.
void Spool::Impl::SweepExpired() {
  if (!AnythingExpires()) return;
  const int64_t now_ms = SpoolNowMs();
  for (int c = 0; c < kClasses; ++c) {
    int64_t& cursor = sweep_cursor_[static_cast<size_t>(c)];
    int64_t rows = 0;
    std::vector<StoredRow> expired;
    const absl::Status status =
        writer_->ReadRowsBriefly({cursor, LastKey(c), kSweepRows}, [&](StoredRow stored) {
          ++rows;
          cursor = stored.row.key + 1;
          if (stored.row.type > DataType::kControl) return true;  // Damaged; found when claimed.
          const int64_t life_ms = TimeToLiveMs(stored.row.type);
          if (life_ms > 0 && stored.row.spool_ms + life_ms <= now_ms) {
            expired.push_back(std::move(stored));
          }
          return true;
        });
    if (absl::IsDataLoss(status)) return ReportDamage(std::string(status.message()));
    if (rows < kSweepRows) {
      cursor = FirstKey(c);
    } else {
      next_maintenance_ns_ = clock_->MonotonicNanos() + kSecondNs;
    }
    absl::MutexLock lock(&mutex_);
    for (const StoredRow& stored : expired) {
      const int64_t key = stored.row.key;
      if (!index_.TakeWaiting(OrderOf(stored.row), OutState::kClaimed, stored.bytes)) continue;
      index_.Find(key)->has_attempt_row = true;
      LeaveLocked(key, RemovalKind::kExpired, "");
    }
  }
}

// Gives space back to the file system once nearly all of the file is free, a step at a time.
void Spool::Impl::ShrinkFile() {
  const bool goes_on = next_shrink_ns_ != kNever;
  next_shrink_ns_ = kNever;
  const absl::StatusOr<int64_t> free = writer_->FreePages();
  int64_t used_bytes = 0;
  for (const int64_t bytes : state_.bytes) used_bytes += bytes;
  absl::Status status = free.status();
  if (status.ok() && *free >= kShrinkPages &&
      used_bytes * kShrinkPart <= *free * spool_internal::kPageBytes) {
    const int64_t began_ns = clock_->MonotonicNanos();
    status = writer_->Shrink(static_cast<int>(shrink_pages_));
    const int64_t now = clock_->MonotonicNanos();
    shrink_pages_ = now - began_ns > kShrinkStepNs ? std::max<int64_t>(shrink_pages_ / 2, 1)
                                                   : std::min(shrink_pages_ * 2, kShrinkPages);
    if (status.ok()) next_shrink_ns_ = now + kShrinkPauseNs;
  } else if (status.ok() && goes_on) {
    // The file itself is cut by a checkpoint, which on a quiet node might not come for days.
    status = writer_->Checkpoint(/*restart=*/false);
    // Another one is under way, or the disk is in the way.
    if (absl::IsUnavailable(status)) next_shrink_ns_ = clock_->MonotonicNanos() + kSecondNs;
  }
  if (absl::IsDataLoss(status)) ReportDamage(std::string(status.message()));
}

}  // namespace viaduct
