// The writer thread: everything that waits goes into one transaction, so that the cost of a sync is
// shared by whoever came while the one before was running.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/crash_point.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/spool/spool_impl.h"

namespace viaduct {

using spool_internal::DeadRow;
using spool_internal::FirstKey;
using spool_internal::KeyClass;
using spool_internal::kMaxSequence;
using spool_internal::kRemovalsAtOnce;

namespace {

// Of removals, kRemovalsAtOnce are in one transaction, so that what is appended meanwhile or with
// them does not wait long for them; of many that wait it is a part.
constexpr size_t kRemovalsBesideAppends = 32;
constexpr size_t kPartOfRemovals = 8;
// Dead letters over their share that go with one transaction, besides as many as come.
constexpr size_t kDeadDropsAtOnce = 64;

}  // namespace

void Spool::Impl::Run() {
  while (true) {
    Work work;
    int64_t wait_ns = 0;
    if (TakeWork(&work, &wait_ns)) {
      Process(&work);
      continue;
    }
    if (wait_ns < 0) break;
    waker_.Wait(wait_ns);
  }
  PersistTime();
}

// False: nothing to do for `wait_ns`; negative: for ever, closing.
bool Spool::Impl::TakeWork(Work* work, int64_t* wait_ns) {
  const int64_t now = clock_->MonotonicNanos();
  absl::MutexLock lock(&mutex_);
  const size_t removals = queue_.removals.size() + queue_.attempts.size();
  const int64_t due =
      std::max(first_removal_ns_ + absl::ToInt64Nanoseconds(options_.confirm_delay), retry_at_ns_);
  const int64_t next_care_ns = std::min({next_maintenance_ns_, next_shrink_ns_, RepairDueNanos()});
  const bool urgent = !queue_.appends.empty() || !queue_.admin.empty() || queue_.maintenance ||
                      queue_.ready || !queue_.damage.empty() || now >= next_care_ns;
  const bool removals_due =
      removals > 0 && (now >= due || (removals >= kRemovalsAtOnce && now >= retry_at_ns_));
  if (closing_ && queue_.empty()) {
    *wait_ns = -1;
    return false;
  }
  if (urgent || removals_due || closing_) {
    std::swap(*work, queue_);
    LeaveRemovals(work);
    work->maintenance = work->maintenance || now >= next_maintenance_ns_;
    return true;
  }
  *wait_ns = next_care_ns - now;
  if (removals > 0) *wait_ns = std::min(*wait_ns, due - now);
  return false;
}

// For the next transaction, of what the one of `work` has no room for.
void Spool::Impl::LeaveRemovals(Work* work) {
  std::vector<Removal>& removals = work->removals;
  const size_t room =
      work->appends.empty() ? kRemovalsAtOnce : std::max(kRemovalsBesideAppends, queued_messages_);
  const size_t taken = std::max(room, removals.size() / kPartOfRemovals);
  if (taken >= removals.size()) return;
  const auto rest = removals.begin() + static_cast<std::ptrdiff_t>(taken);
  queue_.removals.assign(std::make_move_iterator(rest), std::make_move_iterator(removals.end()));
  removals.erase(rest, removals.end());
}

void Spool::Impl::Process(Work* work) {
  Effects effects;
  absl::Status status = RepairIfDamaged(work->damage);
  if (status.ok()) {
    if (disk_full_ && !RegainSpace() && !reserve_.held()) {
      status = absl::ResourceExhaustedError("spool: the disk is full");
    } else if (!work->appends.empty()) {
      RefuseWithoutRoom(work);
    }
  }
  const bool writes = !work->appends.empty() || !work->removals.empty() ||
                      !work->attempts.empty() || !work->admin.empty();
  if (status.ok() && writes) {
    status = Transaction(work, &effects);
    if (absl::IsDataLoss(status)) {
      GiveBack(&effects);
      effects = Effects();
      status = RepairIfDamaged(std::string(status.message()));
      if (status.ok()) status = Transaction(work, &effects);
    }
  }
  if (!status.ok()) {
    HandleFailure(work, &effects, status);
  } else if (writes) {
    Publish(work, &effects);
    Answer(work);
    TellLosses();
    VD_CRASH_POINT("spool.done.after");
  }
  if (work->ready) CallReady();
  if (Usable()) CheckpointIfDue();
  if (work->maintenance) Maintain();
  if (Usable() && clock_->MonotonicNanos() >= next_shrink_ns_) ShrinkFile();
}

// What is undone by a loss of power is sent once more, and the peer says that it has it: no reason
// to make whoever appends wait for the disk.
bool Spool::Impl::OnlyConfirms(const Work& work) {
  return work.appends.empty() && work.admin.empty() &&
         std::all_of(work.removals.begin(), work.removals.end(), [](const Removal& removal) {
           return removal.kind == RemovalKind::kConfirmed;
         });
}

absl::Status Spool::Impl::Transaction(Work* work, Effects* effects) {
  const auto sync =
      OnlyConfirms(*work) ? SpoolDatabase::Sync::kLater : SpoolDatabase::Sync::kAtCommit;
  effects->state = state_;
  ++effects->state.generation;
  effects->state.spool_ms = SpoolNowMs();
  const auto run = [&]() -> absl::Status {
    VD_RETURN_IF_ERROR(writer_->Begin(sync));
    for (const AttemptUpdate& update : work->attempts) {
      VD_RETURN_IF_ERROR(writer_->PutAttempt(update.key, update.record));
    }
    VD_CRASH_POINT("spool.remove.before");
    for (const Removal& removal : work->removals) {
      VD_RETURN_IF_ERROR(ApplyRemoval(removal, effects));
    }
    VD_RETURN_IF_ERROR(TrimDead(kDeadDropsAtOnce + work->removals.size(), effects));
    VD_CRASH_POINT("spool.remove.after");
    for (AdminWork& admin : work->admin) VD_RETURN_IF_ERROR(ApplyAdmin(&admin, effects));
    VD_CRASH_POINT("spool.append.before");
    for (AppendGroup& group : work->appends) VD_RETURN_IF_ERROR(InsertGroup(&group, effects));
    VD_CRASH_POINT("spool.append.after");
    {
      absl::MutexLock lock(&mutex_);
      effects->state.head = index_.Heads(effects->removed);
    }
    VD_RETURN_IF_ERROR(writer_->WriteState(effects->state));
    VD_CRASH_POINT("spool.commit.before");
    VD_RETURN_IF_ERROR(writer_->Commit());
    VD_CRASH_POINT("spool.commit.after");
    return absl::OkStatus();
  };
  absl::Status status = run();
  if (!status.ok()) writer_->Rollback();
  return status;
}

absl::Status Spool::Impl::ApplyRemoval(const Removal& removal, Effects* effects) {
  SpoolState* const state = &effects->state;
  effects->removed.insert(removal.key);
  bool ghost = false;
  {
    absl::MutexLock lock(&mutex_);
    const OutEntry* entry = index_.Find(removal.key);
    ghost = entry != nullptr && entry->ghost;
  }
  if (removal.has_attempt_row) VD_RETURN_IF_ERROR(writer_->DeleteAttempt(removal.key));
  if (ghost) return absl::OkStatus();
  const bool keeps =
      removal.kind == RemovalKind::kRejected || removal.kind == RemovalKind::kDamaged;
  if (keeps) {
    VD_CRASH_POINT("spool.dead.before");
    VD_ASSIGN_OR_RETURN(absl::optional<StoredRow> row, writer_->ReadRow(removal.key));
    if (row.has_value()) VD_RETURN_IF_ERROR(MoveToDead(removal, *row, state));
  }
  VD_ASSIGN_OR_RETURN(const bool found, writer_->Delete(removal.key));
  if (!found) return absl::DataLossError(absl::StrCat("spool: row is missing, key ", removal.key));
  if (keeps) VD_CRASH_POINT("spool.dead.after");
  spool_internal::CountRow(removal.key, removal.bytes, -1, state);
  state->confirmed_total += removal.kind == RemovalKind::kConfirmed ? 1 : 0;
  state->expired_total += removal.kind == RemovalKind::kExpired ? 1 : 0;
  if (removal.kind == RemovalKind::kDropped) CountDrop(removal.why, effects);
  return absl::OkStatus();
}

absl::Status Spool::Impl::MoveToDead(const Removal& removal, const StoredRow& row,
                                     SpoolState* state) {
  DeadRow dead;
  dead.row = row.row;
  dead.dead_ms = absl::ToUnixMillis(clock_->Now());
  dead.damaged = removal.kind == RemovalKind::kDamaged || !row.intact;
  dead.reason = removal.reason;
  VD_RETURN_IF_ERROR(writer_->InsertDead(dead, /*ignore_existing=*/true));
  spool_internal::CountDead(row.bytes, 1, state);
  if (dead.damaged) {
    ++state->damages_total;
    ++state->lost_total;
  } else {
    ++state->rejected_total;
  }
  return absl::OkStatus();
}

absl::Status Spool::Impl::InsertGroup(AppendGroup* group, Effects* effects) {
  group->results.assign(group->rows.size(), absl::OkStatus());
  SpoolState& state = effects->state;
  for (size_t i = 0; i < group->rows.size(); ++i) {
    SpoolRow& row = group->rows[i];
    const uint64_t bytes = RowBytes(row);
    bool fits = Fits(state, bytes);
    if (!fits && options_.when_full == WhenFull::kDropOldestLowPriority) {
      VD_RETURN_IF_ERROR(MakeRoom(KeyClass(row.key), bytes, effects, &fits));
    }
    if (!fits || state.next_sequence >= kMaxSequence) {
      group->results[i] =
          absl::ResourceExhaustedError(absl::StrCat("spool: full, limits ", options_.max_messages,
                                                    " messages, ", options_.max_bytes, " bytes"));
      continue;
    }
    row.key = FirstKey(KeyClass(row.key)) | state.next_sequence++;
    row.spool_ms = state.spool_ms;
    VD_RETURN_IF_ERROR(writer_->Insert(row));
    spool_internal::CountRow(row.key, bytes, 1, &state);
    ++state.accepted_total;
  }
  return absl::OkStatus();
}

// The transaction is on disk: memory follows.
void Spool::Impl::Publish(Work* work, Effects* effects) {
  const int64_t lost = effects->state.lost_total - state_.lost_total;
  if (lost > 0) {
    log_->Warning("spool", "damaged messages are set aside as dead letters",
                  {{"path", options_.path}, {"lost", absl::StrCat(lost)}});
  }
  state_ = effects->state;
  cannot_write_ = false;
  bool unpassed = false;
  {
    absl::MutexLock lock(&mutex_);
    const auto check = [&](const Removal& removal) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      unpassed = unpassed || index_.Unpassed(removal.key);
    };
    for (const Removal& removal : work->removals) check(removal);
    for (const Removal& removal : effects->dropped) check(removal);
  }
  bool ready = false;
  if (unpassed) {
    // A reader with an older view of the file must not meet a row that nobody remembers any more.
    absl::MutexLock read(&read_mutex_);
    ready = PublishRows(work, effects);
  } else {
    ready = PublishRows(work, effects);
  }
  if (ready) CallReady();
}

// True: there is more to claim.
bool Spool::Impl::PublishRows(Work* work, Effects* effects) {
  bool ready = !effects->loaded.empty();
  absl::MutexLock lock(&mutex_);
  ++commits_;
  published_ = state_;
  for (const Removal& removal : work->removals) index_.Erase(removal.key);
  for (const Removal& removal : effects->dropped) index_.Erase(removal.key);
  for (const LoadedMessage& loaded : effects->loaded) {
    index_.AppendedUnread(loaded.message.key);
  }
  for (AppendGroup& group : work->appends) {
    for (size_t i = 0; i < group.rows.size(); ++i) {
      const uint64_t bytes = RowBytes(group.rows[i]);
      if (!group.results[i].ok()) {
        NoteFull(bytes);
        continue;
      }
      if (bytes >= full_for_bytes_) full_for_bytes_ = 0;
      index_.Appended(Load(std::move(group.rows[i])));
      ready = true;
    }
    queued_messages_ -= group.rows.size();
    queued_bytes_ -= group.bytes;
  }
  if (full_for_bytes_ > 0 && Fits(state_, full_for_bytes_)) full_for_bytes_ = 0;
  for (size_t i = 0; i < effects->drops.size(); ++i) drops_[i] += effects->drops[i];
  if (claim_was_full_ && !index_.Full(/*klass=*/0)) {
    claim_was_full_ = false;
    ready = true;
  }
  return ready;
}

void Spool::Impl::Answer(Work* work) {
  for (AppendGroup& group : work->appends) {
    if (group.done) group.done(std::move(group.results));
  }
  for (AdminWork& admin : work->admin) admin.done(admin.changed);
}

// Nothing of the appends was written.
void Spool::Impl::Refuse(Work* work, const absl::Status& status) {
  const SpoolRefusal why =
      absl::IsResourceExhausted(status) ? SpoolRefusal::kDiskFull : SpoolRefusal::kDiskFails;
  {
    absl::MutexLock lock(&mutex_);
    for (const AppendGroup& group : work->appends) {
      CountRefused(why, group.rows.size());
      queued_messages_ -= group.rows.size();
      queued_bytes_ -= group.bytes;
    }
  }
  for (AppendGroup& group : work->appends) {
    if (group.done) group.done(std::vector<absl::Status>(group.rows.size(), status));
  }
  for (AdminWork& admin : work->admin) admin.done(status);
  work->appends.clear();
  work->admin.clear();
}

// Whoever closes does not wait for a disk that fails: what could not be written is done again after
// the next start, and the receivers know what they have.
void Spool::Impl::Requeue(std::vector<Removal> removals, std::vector<AttemptUpdate> attempts) {
  absl::ReleasableMutexLock lock(&mutex_);
  if (closing_) {
    const size_t unwritten =
        removals.size() + attempts.size() + queue_.removals.size() + queue_.attempts.size();
    queue_.removals.clear();
    queue_.attempts.clear();
    lock.Release();
    log_->Error("spool", "closed on a disk that fails, what was confirmed is sent again",
                {{"unwritten", absl::StrCat(unwritten)}});
    return;
  }
  for (Removal& removal : removals) queue_.removals.push_back(std::move(removal));
  // What was noted meanwhile is newer and must be written later.
  queue_.attempts.insert(queue_.attempts.begin(), std::make_move_iterator(attempts.begin()),
                         std::make_move_iterator(attempts.end()));
}

}  // namespace viaduct
