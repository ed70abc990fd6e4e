// What a node knows of one plate or device: handed out, or forgotten. And what is older than it may
// be kept.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/observe/log.h"
#include "core/spool/spool.h"
#include "core/store/image_folder.h"
#include "core/store/store.h"

namespace viaduct {

inline constexpr size_t kKeptTables = 7;

// Exactly one of them is given.
struct PrivacySubject {
  std::string plate;  // In any spelling: it is compared as PlateKey writes it.
  std::string device_id;
};

struct ForgottenCounts {
  std::array<int64_t, kKeptTables> rows{};  // By KeptTable.
  int64_t images = 0;                       // Files; in a dry run those that are named.
  int64_t files = 0;                        // That came by themselves and are no images.
  int64_t spooled = 0;                      // Messages that waited, with dead letters.
  int64_t in_flight = 0;                    // Messages that are on their way just now: they stay.
  int64_t unreadable = 0;   // Messages that may name the plate: there is no key for them.
  bool listed = false;      // It was on the blacklist, and is not any more.
  bool in_the_log = false;  // Of the database, for a while.
};

// Infinite: kept.
struct RetentionOptions {
  absl::Duration detections = absl::InfiniteDuration();  // With events and images.
  absl::Duration images = absl::InfiniteDuration();
  absl::Duration health = absl::InfiniteDuration();
  absl::Duration messages = absl::InfiniteDuration();
  absl::Duration communication_logs = absl::InfiniteDuration();
  absl::Duration file_transfers = absl::InfiniteDuration();
};

// Thread-safe; what waits for the store must not be called on its threads. Rows go in groups of at
// most ForgetRecord::kMaxIds, between which everybody else writes.
class Privacy {
 public:
  static constexpr int kSweepPages = 100;  // Looked at in one Sweep of one table.
  // A wall clock that is set ahead by more is not believed for as long.
  static constexpr absl::Duration kMaxClockJump = absl::Hours(24);

  // Makes a payload that is encrypted what it was, where this node has the key.
  using OpenFn = std::function<absl::Status(Envelope* envelope)>;

  // All outlive it. Null: the node has none.
  struct Deps {
    const Clock* clock = nullptr;  // Required.
    Log* log = nullptr;            // Required.
    Store* store = nullptr;
    ImageFolder* images = nullptr;
    Spool* spool = nullptr;
    OpenFn open;
    // A file that a device sent and that is no image; OK where there is none.
    std::function<absl::Status(const std::string& transfer_id)> remove_file;
    std::function<void()> forget_thumbnails;
  };
  struct EraseOptions {
    bool dry_run = false;
    bool blacklist = false;  // The plate is taken off it, too.
  };

  explicit Privacy(RetentionOptions retention, Deps deps);

  // INVALID_ARGUMENT: not exactly one, too long, or a plate of less than three letters.
  static absl::Status CheckSubject(const PrivacySubject& subject);

  // Every row, with its JSON; `each` says when to stop.
  using RowFn = std::function<absl::Status(KeptTable table, const KeptRow& row)>;
  absl::Status Export(const PrivacySubject& subject, const RowFn& each);
  // Octets of an image as it was sent.
  absl::StatusOr<std::string> ReadImage(const std::string& path) const;

  // Files go before the rows that name them: whoever is interrupted is asked again. ABORTED:
  // another one is under way.
  absl::StatusOr<ForgottenCounts> Erase(const PrivacySubject& subject, EraseOptions options);

  // FAILED_PRECONDITION: the wall clock was set ahead by more than kMaxClockJump, less than that
  // long ago. Removes what is too old, a part of it; *more: there is. Counted in swept() unless it
  // is a dry run, which looks at all of it.
  absl::StatusOr<ForgottenCounts> Sweep(bool dry_run, bool* more);
  bool has_retention() const;
  ForgottenCounts swept() const;  // Since the node was started.

  // What is under way ends soon, with CANCELLED.
  void Stop() { stopping_.store(true); }

 private:
  struct Walk;
  struct ForgetHow {
    bool dry_run = false;
    bool only_images = false;  // The rows stay.
    bool passes = false;       // A row whose files stay is left; else that is the error.
  };
  class Turn;

  absl::Status ForEachPage(KeptQuery query, const std::function<absl::Status(KeptPage)>& each);
  absl::Status EraseTable(KeptTable table, const PrivacySubject& subject, bool dry_run,
                          ForgottenCounts* counts);
  absl::Status EraseEvents(const PrivacySubject& subject, bool dry_run, ForgottenCounts* counts);
  absl::Status EraseSpool(const PrivacySubject& subject, bool dry_run, ForgottenCounts* counts);
  absl::Status EraseListed(const std::string& plate_key, ForgottenCounts* counts);
  absl::Status Forget(KeptTable table, const std::vector<KeptRow>& rows, const ForgetHow& how,
                      ForgottenCounts* counts);
  void PassWhatStays(const ForgetHow& how, std::vector<KeptRow>* rows, ForgottenCounts* counts);
  absl::Status RemoveFiles(const std::vector<KeptRow>& rows, const ForgetHow& how,
                           ForgottenCounts* counts);
  void LeaveToOthers(std::vector<KeptRow>* files) const;
  absl::StatusOr<AppendResult> AppendAndWait(StoreRecord record);
  absl::Status SweepTable(Walk walk, bool dry_run, bool* more, ForgottenCounts* counts);
  absl::Duration ClockOffset() const;
  absl::Status TrustClock();
  absl::Status SweepAll(bool dry_run, bool* more, ForgottenCounts* counts);

  const RetentionOptions retention_;
  const Deps deps_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> busy_{false};  // One that changes something at a time.
  mutable absl::Mutex mutex_;
  ForgottenCounts swept_ ABSL_GUARDED_BY(mutex_);
  // Of the thread that set busy_: events have no order by time, and are looked through once
  // a day; images of rows that have been looked at are gone.
  absl::Duration clock_offset_;   // Of the wall clock to the time that passed.
  int64_t clock_doubted_ns_ = 0;  // Monotonic: until then the wall clock is not believed.
  absl::Time events_swept_ = absl::InfinitePast();
  std::string images_after_;
  std::string file_images_after_;
};

// Whose turn it is, until the end of the scope.
class Privacy::Turn {
 public:
  explicit Turn(std::atomic<bool>* busy) : busy_(busy), taken_(!busy->exchange(true)) {}
  ~Turn() {
    if (taken_) busy_->store(false);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  bool taken() const { return taken_; }

 private:
  std::atomic<bool>* const busy_;
  const bool taken_;
};

}  // namespace viaduct
