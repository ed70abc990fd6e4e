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
using spool_internal::kClasses;
using spool_internal::KeyClass;
using spool_internal::kMaxSequence;
using spool_internal::LastKey;
using spool_internal::StoredDeadRow;

namespace {

constexpr int64_t kDropScanRows = 256;
// In one transaction, so that what is appended meanwhile or with them does not wait long for them;
// of many that wait it is a part.
constexpr size_t kRemovalsAtOnce = 128;
constexpr size_t kRemovalsBesideAppends = 32;
constexpr size_t kPartOfRemovals = 8;

size_t ClassOf(int64_t key) { return static_cast<size_t>(KeyClass(key)); }

void CountRow(int64_t key, uint64_t bytes, int64_t sign, spool_internal::SpoolState* state) {
  state->messages[ClassOf(key)] += sign;
  state->bytes[ClassOf(key)] += sign * static_cast<int64_t>(bytes);
}

void CountDead(uint64_t bytes, int64_t sign, spool_internal::SpoolState* state) {
  state->dead_messages += sign;
  state->dead_bytes += sign * static_cast<int64_t>(bytes);
}

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
  const int64_t next_care_ns = std::min(next_maintenance_ns_, next_shrink_ns_);
  const bool urgent = !queue_.appends.empty() || !queue_.admin.empty() || queue_.maintenance ||
                      !queue_.damage.empty() || now >= next_care_ns;
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
  absl::Status status;
  if (!work->damage.empty()) status = Recover(work->damage);
  if (status.ok() && writer_ != nullptr) {
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
      effects = Effects();
      status = Recover(std::string(status.message()));
      if (status.ok()) status = Transaction(work, &effects);
    }
  }
  if (!status.ok()) {
    HandleFailure(work, &effects, status);
  } else if (writes) {
    Publish(work, &effects);
    Answer(work);
    VD_CRASH_POINT("spool.done.after");
  }
  if (writer_ != nullptr) CheckpointIfDue();
  if (work->maintenance && writer_ != nullptr) Maintain();
  if (writer_ != nullptr && clock_->MonotonicNanos() >= next_shrink_ns_) ShrinkFile();
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
  if (writer_ == nullptr) return absl::UnavailableError("spool: damaged, not repaired yet");
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
      VD_RETURN_IF_ERROR(ApplyRemoval(removal, &effects->state));
    }
    VD_CRASH_POINT("spool.remove.after");
    for (AdminWork& admin : work->admin) VD_RETURN_IF_ERROR(ApplyAdmin(&admin, effects));
    VD_CRASH_POINT("spool.append.before");
    for (AppendGroup& group : work->appends) VD_RETURN_IF_ERROR(InsertGroup(&group, effects));
    VD_CRASH_POINT("spool.append.after");
    {
      absl::MutexLock lock(&mutex_);
      effects->state.head = index_.Heads();
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

absl::Status Spool::Impl::ApplyRemoval(const Removal& removal, SpoolState* state) {
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
  CountRow(removal.key, removal.bytes, -1, state);
  state->confirmed_total += removal.kind == RemovalKind::kConfirmed ? 1 : 0;
  state->expired_total += removal.kind == RemovalKind::kExpired ? 1 : 0;
  state->dropped_total += removal.kind == RemovalKind::kDropped ? 1 : 0;
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
  CountDead(row.bytes, 1, state);
  if (dead.damaged) {
    ++state->damages_total;
    ++state->lost_total;
  } else {
    ++state->rejected_total;
  }
  return absl::OkStatus();
}

bool Spool::Impl::Fits(const SpoolState& state, uint64_t bytes) const {
  auto messages = static_cast<uint64_t>(state.dead_messages);
  auto total = static_cast<uint64_t>(state.dead_bytes);
  for (size_t c = 0; c < kClasses; ++c) {
    messages += static_cast<uint64_t>(state.messages[c]);
    total += static_cast<uint64_t>(state.bytes[c]);
  }
  return messages < options_.max_messages && total + bytes <= options_.max_bytes;
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
    CountRow(row.key, bytes, 1, &state);
    ++state.accepted_total;
  }
  return absl::OkStatus();
}

// Drops the oldest waiting messages of the lowest priority there is, down to the priority of the
// one that wants in.
absl::Status Spool::Impl::MakeRoom(int klass, uint64_t bytes, Effects* effects, bool* made) {
  for (int c = kClasses - 1; c >= klass && !*made; --c) {
    int64_t next = FirstKey(c);
    bool more = true;
    while (more && !*made) {
      std::vector<std::pair<int64_t, uint64_t>> candidates;
      more = false;
      VD_RETURN_IF_ERROR(
          writer_->ReadRowsBriefly({next, LastKey(c), kDropScanRows}, [&](const StoredRow& stored) {
            candidates.emplace_back(stored.row.key, stored.bytes);
            next = stored.row.key + 1;
            more = true;
            return true;
          }));
      for (size_t i = 0; i < candidates.size() && !*made; ++i) {
        Removal removal;
        removal.key = candidates[i].first;
        removal.bytes = candidates[i].second;
        removal.kind = RemovalKind::kDropped;
        removal.has_attempt_row = true;
        {
          absl::MutexLock lock(&mutex_);
          if (!index_.TakeWaiting(removal.key, OutState::kLeaving, removal.bytes)) continue;
        }
        effects->dropped.push_back(removal);
        VD_RETURN_IF_ERROR(ApplyRemoval(removal, &effects->state));
        *made = Fits(effects->state, bytes);
      }
    }
  }
  return absl::OkStatus();
}

absl::Status Spool::Impl::ApplyAdmin(AdminWork* admin, Effects* effects) {
  admin->changed = 0;
  for (const int64_t key : admin->drop) VD_RETURN_IF_ERROR(DropWaiting(key, admin, effects));
  for (const int64_t key : admin->drop_dead) VD_RETURN_IF_ERROR(DropDead(key, admin, effects));
  for (const int64_t key : admin->retry_dead) VD_RETURN_IF_ERROR(RetryDead(key, admin, effects));
  return absl::OkStatus();
}

absl::Status Spool::Impl::DropWaiting(int64_t key, AdminWork* admin, Effects* effects) {
  VD_ASSIGN_OR_RETURN(absl::optional<StoredRow> row, writer_->ReadRow(key));
  if (!row.has_value()) return absl::OkStatus();  // Delivered meanwhile.
  Removal removal;
  removal.key = key;
  removal.kind = RemovalKind::kDropped;
  removal.bytes = row->bytes;
  removal.has_attempt_row = true;
  {
    absl::MutexLock lock(&mutex_);
    if (!index_.TakeWaiting(key, OutState::kLeaving, row->bytes)) return absl::OkStatus();
  }
  effects->dropped.push_back(removal);
  ++admin->changed;
  return ApplyRemoval(removal, &effects->state);
}

absl::Status Spool::Impl::DropDead(int64_t key, AdminWork* admin, Effects* effects) {
  absl::optional<StoredDeadRow> dead;
  VD_RETURN_IF_ERROR(writer_->ReadDead({key, key, 1}, [&dead](StoredDeadRow stored) {
    dead = std::move(stored);
    return true;
  }));
  if (!dead.has_value()) return absl::OkStatus();
  VD_ASSIGN_OR_RETURN([[maybe_unused]] const bool found, writer_->DeleteDead(key));
  CountDead(dead->bytes, -1, &effects->state);
  ++effects->state.dropped_total;
  ++admin->changed;
  return absl::OkStatus();
}

// A dead letter comes back as a new message: at the end of its class, with a new life.
absl::Status Spool::Impl::RetryDead(int64_t key, AdminWork* admin, Effects* effects) {
  absl::optional<StoredDeadRow> dead;
  VD_RETURN_IF_ERROR(writer_->ReadDead({key, key, 1}, [&dead](StoredDeadRow stored) {
    dead = std::move(stored);
    return true;
  }));
  if (!dead.has_value() || !dead->intact || dead->dead.damaged) return absl::OkStatus();
  VD_ASSIGN_OR_RETURN([[maybe_unused]] const bool found, writer_->DeleteDead(key));
  SpoolState& state = effects->state;
  CountDead(dead->bytes, -1, &state);
  SpoolRow& row = dead->dead.row;
  row.key = FirstKey(KeyClass(key)) | state.next_sequence++;
  row.spool_ms = state.spool_ms;
  VD_RETURN_IF_ERROR(writer_->Insert(row));
  CountRow(row.key, dead->bytes, 1, &state);
  ++admin->changed;
  // Left unread on purpose: there may be many.
  LoadedMessage loaded;
  loaded.message.key = row.key;
  loaded.bytes = dead->bytes;
  effects->loaded.push_back(std::move(loaded));
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
      over_bounds_ = !group.results[i].ok();
      if (over_bounds_) {
        ++refused_;
        continue;
      }
      index_.Appended(Load(std::move(group.rows[i])));
      ready = true;
    }
    queued_messages_ -= group.rows.size();
    queued_bytes_ -= group.bytes;
  }
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
  {
    absl::MutexLock lock(&mutex_);
    for (const AppendGroup& group : work->appends) {
      refused_ += group.rows.size();
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

void Spool::Impl::Requeue(std::vector<Removal> removals, std::vector<AttemptUpdate> attempts) {
  absl::MutexLock lock(&mutex_);
  for (Removal& removal : removals) queue_.removals.push_back(std::move(removal));
  // What was noted meanwhile is newer and must be written later.
  queue_.attempts.insert(queue_.attempts.begin(), std::make_move_iterator(attempts.begin()),
                         std::make_move_iterator(attempts.end()));
}

}  // namespace viaduct
