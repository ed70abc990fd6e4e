// The inside of Spool. Internal to core/spool; split over spool.cc (what callers do),
// spool_claim.cc (what the dispatcher takes), spool_order.cc (the same of types that are ordered),
// spool_writer.cc (the thread and its transactions), spool_room.cc (its own bounds), spool_space.cc
// (a full disk), spool_care.cc (damage, expiry, checkpoints), spool_sealing.cc (encryption of what
// lies in the file) and spool_admin.cc (looking and throwing away).
#pragma once

#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "core/base/clock.h"
#include "core/base/waker.h"
#include "core/observe/log.h"
#include "core/spool/spool.h"
#include "core/spool/spool_database.h"
#include "core/spool/spool_files.h"
#include "core/spool/spool_index.h"
#include "core/spool/spool_recovery.h"

namespace viaduct {

namespace spool_internal {

// So many removals are worth a transaction of their own, without more company.
inline constexpr size_t kRemovalsAtOnce = 128;
inline constexpr int kRowsPerRead = 512;
// By one claim, behind messages that hold them up; then others have their turn.
inline constexpr int64_t kMostRowsPassed = 16 * kRowsPerRead;

}  // namespace spool_internal

// Thread-safe. Lock order: read_mutex_ before mutex_. read_mutex_ guards the reading connection and
// is the one lock that is held over I/O; mutex_ guards memory and is held for moments.
class Spool::Impl {
 public:
  Impl(SpoolOptions options, Clock* clock, Log* log);
  ~Impl();

  absl::Status Open();
  absl::Status Append(std::vector<Envelope> envelopes, AppendDone done);
  size_t Claim(const ClaimLimits& limits, std::vector<OutboxMessage>* out);
  void Settle(absl::Span<const Settlement> settlements);
  int64_t NextDueNanos() const;
  void SetReadyHandler(std::function<void()> on_ready);
  SpoolInfo Info();
  std::vector<DamageReport> Damages() const;
  absl::StatusOr<SpoolPage> List(const SpoolFilter& filter, size_t page_size,
                                 const std::string& page_token, bool with_envelope);
  absl::StatusOr<uint64_t> ChangeMatching(const SpoolFilter& filter, bool retry);
  void NoteDropped(uint64_t count, const std::string& reason);
  void RunMaintenance();
  void Close();

 private:
  using LoadedMessage = spool_internal::LoadedMessage;
  using OutEntry = spool_internal::OutEntry;
  using OutState = spool_internal::OutState;
  using SpoolDatabase = spool_internal::SpoolDatabase;
  using SpoolIndex = spool_internal::SpoolIndex;
  using SpoolRow = spool_internal::SpoolRow;
  using SpoolState = spool_internal::SpoolState;
  using StoredRow = spool_internal::StoredRow;
  using StreamRow = spool_internal::StreamRow;

  struct AppendGroup {
    std::vector<SpoolRow> rows;
    size_t bytes = 0;
    std::vector<absl::Status> results;
    AppendDone done;
  };
  enum class RemovalKind : uint8_t { kConfirmed, kExpired, kDropped, kRejected, kDamaged };
  struct Removal {
    int64_t key = 0;
    RemovalKind kind = RemovalKind::kConfirmed;
    SpoolDrop why = SpoolDrop::kFull;  // Of what is dropped.
    bool has_attempt_row = false;
    uint64_t stream = 0;  // Of what is dropped.
    uint64_t bytes = 0;
    std::string reason;
  };
  // May be dropped.
  struct Candidate {
    StreamRow row;
    uint64_t bytes = 0;
  };
  struct AttemptUpdate {
    int64_t key = 0;
    spool_internal::AttemptRecord record;
  };
  // A change that an administrator waits for.
  struct AdminWork {
    std::vector<int64_t> drop;       // Keys of waiting messages.
    std::vector<int64_t> drop_dead;  // Keys of dead letters.
    std::vector<int64_t> retry_dead;
    uint64_t changed = 0;
    std::function<void(absl::StatusOr<uint64_t>)> done;
  };
  struct Work {
    std::vector<AppendGroup> appends;
    std::vector<Removal> removals;
    std::vector<AttemptUpdate> attempts;
    std::vector<AdminWork> admin;
    std::string damage;  // Not empty: somebody found the file damaged.
    bool maintenance = false;
    bool ready = false;  // Claim may give more.
    bool empty() const {
      return appends.empty() && removals.empty() && attempts.empty() && admin.empty() &&
             damage.empty() && !maintenance && !ready;
    }
  };
  // A claim under way.
  struct Claiming {
    ClaimLimits left;
    int64_t live_ms = 0;  // Accepted before: backlog.
    std::vector<OutboxMessage>* out = nullptr;

    // High priority is never backlog, however long it waits; low priority always is.
    static bool IsBacklog(int klass, bool waited) {
      return klass == static_cast<int>(Priority::kNormal)
                 ? waited
                 : klass > static_cast<int>(Priority::kNormal);
    }
    bool more(bool backlog) const {
      return left.messages > 0 && left.bytes > 0 && (backlog ? left.backlog : left.live) > 0;
    }
  };
  // What one transaction made besides what was asked.
  struct Effects {
    SpoolState state;
    absl::flat_hash_set<int64_t> removed;  // Keys; others that leave are in the file still.
    std::vector<LoadedMessage> loaded;     // Committed rows for the index.
    std::vector<Removal> dropped;          // To make room, or by an administrator.
    std::array<uint64_t, kSpoolDrops> drops{};
    std::array<int64_t, spool_internal::kClasses> drop_from{};  // Nothing waits below.
  };
  struct Losses {
    std::array<uint64_t, kSpoolDrops> drops{};
    std::array<uint64_t, kSpoolRefusals> refusals{};
  };

  // spool_claim.cc
  void ClaimOnce(const ClaimLimits& limits, std::vector<OutboxMessage>* out);
  void ClaimDue(int klass, bool live, Claiming* claiming);
  bool GiveStored(int64_t key, bool backlog, Claiming* claiming)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(read_mutex_);
  void ClaimReady(int klass, Claiming* claiming);
  void ClaimHeld(int klass, Claiming* claiming);
  void ClaimUnread(int klass, Claiming* claiming);
  absl::Status ClaimRows(const spool_internal::KeyRange& range, Claiming* claiming, int64_t* rows,
                         bool* stopped) ABSL_EXCLUSIVE_LOCKS_REQUIRED(read_mutex_);
  bool ClaimRow(StoredRow stored, Claiming* claiming) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayTakeMore(int klass) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Give(LoadedMessage loaded, bool backlog, Claiming* claiming)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Deliverable(LoadedMessage* loaded) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // spool_order.cc
  bool Ordered(DataType type) const;
  uint64_t StreamOf(int64_t key, const std::string& device, DataType type) const;
  StreamRow OrderOf(const SpoolRow& row) const {
    return {row.key, StreamOf(row.key, row.device, row.type)};
  }
  absl::StatusOr<std::vector<StreamRow>> ReadOrder(const spool_internal::KeyRange& range)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(read_mutex_);
  void RefillStreams(int klass);
  absl::Status ClaimInOrder(const spool_internal::KeyRange& range, Claiming* claiming,
                            int64_t* rows, bool* stopped)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(read_mutex_);
  void ClaimAgain();

  // spool.cc
  void LeaveLocked(int64_t key, RemovalKind kind, std::string reason)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool SettleLocked(const Settlement& settlement) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int64_t DueNanos(const Settlement& settlement) const;
  void ReportDamage(const std::string& what);
  void NoteDamageLocked(const std::string& what) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LogDamage(const DamageReport& report);
  int64_t SpoolNowMs() const;
  int64_t TimeToLiveMs(DataType type) const;
  LoadedMessage Load(SpoolRow row) const;

  // spool_sealing.cc
  absl::Status CheckKeys(SpoolDatabase* database) const;
  absl::Status SealRow(SpoolRow* row) const;
  bool OpenClaimed(size_t first, std::vector<OutboxMessage>* out);
  std::string OpenedText(const SpoolRow& row, std::string* error) const;

  // spool_writer.cc
  void Run();
  bool TakeWork(Work* work, int64_t* wait_ns);
  void LeaveRemovals(Work* work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Process(Work* work);
  static bool OnlyConfirms(const Work& work);
  absl::Status Transaction(Work* work, Effects* effects);
  absl::Status ApplyRemoval(const Removal& removal, Effects* effects);
  absl::Status MoveToDead(const Removal& removal, const StoredRow& row, SpoolState* state);
  absl::Status InsertGroup(AppendGroup* group, Effects* effects);
  void Publish(Work* work, Effects* effects);
  bool PublishRows(Work* work, Effects* effects);
  void Answer(Work* work);
  void Refuse(Work* work, const absl::Status& status);
  void Requeue(std::vector<Removal> removals, std::vector<AttemptUpdate> attempts);
  void CallReady();

  // spool_room.cc
  bool Fits(const SpoolState& state, uint64_t bytes) const;
  bool FitsWithout(int klass, SpoolState state, uint64_t bytes) const;
  absl::Status MakeRoom(int klass, uint64_t bytes, Effects* effects, bool* made);
  absl::Status ChooseWaiting(int klass, uint64_t bytes, const Effects& effects, SpoolState* left,
                             std::vector<Candidate>* chosen);
  absl::Status DropChosen(const Candidate& candidate, Effects* effects);
  void GiveBack(Effects* effects);
  bool DeadOverShare(const SpoolState& state) const;
  absl::Status TrimDead(size_t most, Effects* effects);
  absl::Status DropOldestDead(SpoolDrop why, Effects* effects);
  absl::StatusOr<bool> EraseDead(int64_t key, SpoolDrop why, Effects* effects);
  static void CountDrop(SpoolDrop why, Effects* effects);
  void CountRefused(SpoolRefusal why, size_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteFull(uint64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellLosses();

  // spool_space.cc
  void RefuseWithoutRoom(Work* work);
  void HandleFailure(Work* work, Effects* effects, const absl::Status& status);
  bool HasRoom(int64_t bytes);
  bool FitsOnDisk(int64_t bytes, uint64_t spared) const;
  void GiveSpaceBack();
  bool RegainSpace();
  void RemoveInSmallGroups(Work* work);

  // spool_care.cc
  bool Usable() const;
  int64_t RepairDueNanos() const;
  absl::Status RepairIfDamaged(const std::string& found);
  absl::Status Repair();
  void RestartIndex(const SpoolState& state);
  void CheckpointIfDue();
  void Maintain();
  void SweepExpired();
  bool AnythingExpires() const;
  void PersistTime();
  void ShrinkFile();

  // spool_admin.cc
  absl::Status ScanWaiting(const SpoolFilter& filter, int64_t* key, size_t* budget,
                           size_t page_size, bool with_envelope, SpoolPage* page);
  absl::Status ScanDead(const SpoolFilter& filter, int64_t* key, size_t* budget, size_t page_size,
                        bool with_envelope, SpoolPage* page);
  absl::Status NoteDamage(const absl::Status& status);
  absl::Status ApplyAdmin(AdminWork* admin, Effects* effects);
  absl::Status RetryDead(int64_t key, AdminWork* admin, Effects* effects);
  absl::Status DropDead(int64_t key, AdminWork* admin, Effects* effects);
  absl::Status DropWaiting(int64_t key, AdminWork* admin, Effects* effects);
  absl::StatusOr<uint64_t> RunAdmin(AdminWork work);

  const SpoolOptions options_;
  Clock* const clock_;
  Log* const log_;
  Waker waker_;

  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  // Lives on the writer thread (and in Open, before it starts).
  spool_internal::LockFile lock_;
  spool_internal::SpaceReserve reserve_;
  std::unique_ptr<SpoolDatabase> writer_;
  SpoolState state_;           // As committed.
  int64_t retry_at_ns_ = 0;    // No transaction of removals alone before.
  bool cannot_write_ = false;  // And the log says so.
  Losses told_;                // What the log says already.
  int64_t next_tell_ns_ = 0;
  int64_t room_wanted_ = 0;  // By what was refused last on a full disk.
  int64_t next_maintenance_ns_ = 0;
  int64_t next_shrink_ns_ = kNever;  // kNever: it does not go on.
  int64_t shrink_pages_ = 1;         // In the next step.
  std::string damage_;               // Not empty: the file is to be repaired.
  int64_t next_repair_ns_ = 0;
  int64_t repair_pause_ns_ = 1'000'000'000;  // After the next one.
  int64_t last_repair_ns_ = 0;
  int repairs_ = 0;  // Without an hour between them.
  std::array<int64_t, spool_internal::kClasses> sweep_cursor_{};

  absl::Mutex read_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  std::unique_ptr<SpoolDatabase> reader_ ABSL_GUARDED_BY(read_mutex_);

  mutable absl::Mutex mutex_;
  Work queue_ ABSL_GUARDED_BY(mutex_);
  size_t queued_messages_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t first_removal_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  bool claim_was_full_ ABSL_GUARDED_BY(mutex_) = false;
  SpoolIndex index_ ABSL_GUARDED_BY(mutex_);
  SpoolState published_ ABSL_GUARDED_BY(mutex_);
  std::vector<DamageReport> damages_ ABSL_GUARDED_BY(mutex_);
  uint64_t commits_ ABSL_GUARDED_BY(mutex_) = 0;
  std::array<uint64_t, kSpoolDrops> drops_ ABSL_GUARDED_BY(mutex_){};
  std::array<uint64_t, kSpoolRefusals> refusals_ ABSL_GUARDED_BY(mutex_){};
  uint64_t unknown_settled_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string repair_error_ ABSL_GUARDED_BY(mutex_);  // Of a damaged file: why it is not repaired.
  // The smallest message that met the bounds and would still; 0: none.
  uint64_t full_for_bytes_ ABSL_GUARDED_BY(mutex_) = 0;

  std::atomic<bool> disk_full_{false};
  std::atomic<bool> spared_{false};  // It would not be full but for min_free_bytes.
  std::atomic<bool> failed_{false};
  // Spool time = base + monotonic time since.
  std::atomic<int64_t> spool_base_ms_{0};
  std::atomic<int64_t> opened_at_ns_{0};

  absl::Mutex ready_mutex_;
  std::shared_ptr<std::function<void()>> on_ready_ ABSL_GUARDED_BY(ready_mutex_);
  int ready_calls_ ABSL_GUARDED_BY(ready_mutex_) = 0;

  absl::Mutex close_mutex_;  // Serializes Close.
  std::thread thread_;       // Started by Open, joined by Close.
};

}  // namespace viaduct
