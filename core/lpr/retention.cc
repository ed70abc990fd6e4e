// What is older than it may be kept goes, a part at a time.
#include <utility>

#include "core/base/status_macros.h"
#include "core/lpr/privacy.h"

namespace viaduct {
namespace {

constexpr absl::Duration kEventsEvery = absl::Hours(24);

void Add(const ForgottenCounts& more, ForgottenCounts* sum) {
  for (size_t i = 0; i < kKeptTables; ++i) sum->rows[i] += more.rows[i];
  sum->images += more.images;
  sum->files += more.files;
}

}  // namespace

// One look through a table.
struct Privacy::Walk {
  KeptQuery query;
  bool only_images = false;      // The rows stay.
  bool only_without = false;     // Rows with images, or of a detection, are somebody else's.
  std::string* after = nullptr;  // Where the next one goes on; null: from the start.
};

bool Privacy::has_retention() const {
  const absl::Duration kept = absl::InfiniteDuration();
  return retention_.detections != kept || retention_.images != kept || retention_.health != kept ||
         retention_.messages != kept || retention_.communication_logs != kept ||
         retention_.file_transfers != kept;
}

ForgottenCounts Privacy::swept() const {
  const absl::MutexLock lock(&mutex_);
  return swept_;
}

absl::StatusOr<ForgottenCounts> Privacy::Sweep(bool dry_run, bool* more) {
  *more = false;
  if (deps_.store == nullptr)
    return absl::FailedPreconditionError("privacy: this node has no store");
  const Turn turn(&busy_);
  if (!turn.taken()) return absl::AbortedError("privacy: another one is under way");
  if (!dry_run) VD_RETURN_IF_ERROR(TrustClock());
  ForgottenCounts counts;
  const absl::Status status = SweepAll(dry_run, more, &counts);
  if (!dry_run) {
    const absl::MutexLock lock(&mutex_);
    Add(counts, &swept_);
  }
  if (!status.ok()) return status;
  return counts;
}

absl::Duration Privacy::ClockOffset() const {
  return deps_.clock->Now() - absl::UnixEpoch() - absl::Nanoseconds(deps_.clock->MonotonicNanos());
}

// What is too old by a clock that is wrong cannot be brought back. One that was right after all, a
// box that has no clock of its own, is believed a day later; one that is set back at once.
absl::Status Privacy::TrustClock() {
  const int64_t now_ns = deps_.clock->MonotonicNanos();
  const absl::Duration ahead = ClockOffset() - clock_offset_;
  if (ahead > kMaxClockJump) clock_doubted_ns_ = now_ns + absl::ToInt64Nanoseconds(kMaxClockJump);
  if (ahead < -kMaxClockJump) clock_doubted_ns_ = 0;
  if (ahead > kMaxClockJump || ahead < -kMaxClockJump) clock_offset_ += ahead;
  if (now_ns >= clock_doubted_ns_) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "privacy: the clock was set ahead by more than a day, nothing is removed for its age until a "
      "day later");
}

absl::Status Privacy::SweepAll(bool dry_run, bool* more, ForgottenCounts* counts) {
  const absl::Time now = deps_.clock->Now();
  const auto sweep = [&](KeptTable table, absl::Duration kept, Walk walk) -> absl::Status {
    if (kept == absl::InfiniteDuration()) return absl::OkStatus();
    walk.query.table = table;
    walk.query.own_images = true;
    walk.query.before = now - kept;
    return SweepTable(std::move(walk), dry_run, more, counts);
  };
  VD_RETURN_IF_ERROR(sweep(KeptTable::kDetections, retention_.detections, Walk()));
  Walk images;
  images.query.with_images = true;
  images.only_images = true;
  images.after = dry_run ? nullptr : &images_after_;
  VD_RETURN_IF_ERROR(sweep(KeptTable::kDetections, retention_.images, images));
  images.only_images = false;
  images.after = dry_run ? nullptr : &file_images_after_;
  VD_RETURN_IF_ERROR(sweep(KeptTable::kFileTransfers, retention_.images, images));
  Walk without;
  without.only_without = true;
  if (dry_run || now - events_swept_ >= kEventsEvery || now < events_swept_) {
    bool events = false;
    std::swap(events, *more);
    VD_RETURN_IF_ERROR(sweep(KeptTable::kEvents, retention_.detections, without));
    if (!*more && !dry_run) events_swept_ = now;
    *more = *more || events;
  }
  VD_RETURN_IF_ERROR(sweep(KeptTable::kHealth, retention_.health, Walk()));
  VD_RETURN_IF_ERROR(sweep(KeptTable::kMessages, retention_.messages, Walk()));
  VD_RETURN_IF_ERROR(sweep(KeptTable::kCommunication, retention_.communication_logs, Walk()));
  return sweep(KeptTable::kFileTransfers, retention_.file_transfers, without);
}

// Rows stand in the order of their arrival, but for events: behind the first page of which none is
// old enough there is nothing.
absl::Status Privacy::SweepTable(Walk walk, bool dry_run, bool* more, ForgottenCounts* counts) {
  if (walk.after != nullptr) walk.query.after = *walk.after;
  const bool ordered = walk.query.table != KeptTable::kEvents;
  for (int page_count = 0; dry_run || !ordered || page_count < kSweepPages; ++page_count) {
    if (stopping_.load()) return absl::CancelledError("privacy: the node is stopping");
    VD_ASSIGN_OR_RETURN(KeptPage page, deps_.store->ListKept(walk.query));
    std::vector<KeptRow> old;
    for (KeptRow& row : page.rows) {
      if (walk.only_without && (!row.images.empty() || row.detection != 0)) {
        // An event made by hand may name an image; nobody else has it.
        if (walk.query.table != KeptTable::kEvents || row.detection != 0) continue;
      }
      old.push_back(std::move(row));
    }
    VD_RETURN_IF_ERROR(
        Forget(walk.query.table, old, {dry_run, walk.only_images, /*passes=*/true}, counts));
    // One that arrived while the clock was wrong stands among others that are old.
    const bool past = ordered && page.newest >= walk.query.before && page.rows.empty();
    // Nothing is stepped over for good that was too young this time.
    const bool all_old = !ordered || page.newest < walk.query.before;
    if (walk.after != nullptr && all_old && !page.next.empty()) *walk.after = page.next;
    if (past || page.next.empty()) return absl::OkStatus();
    walk.query.after = page.next;
  }
  *more = true;
  return absl::OkStatus();
}

}  // namespace viaduct
