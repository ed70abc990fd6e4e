// What the dispatcher takes: what is live from memory, the backlog from the file.
#include <algorithm>
#include <utility>

#include "core/spool/spool_impl.h"

namespace viaduct {

using spool_internal::kClasses;
using spool_internal::KeyClass;
using spool_internal::kMostRowsPassed;
using spool_internal::kRowsPerRead;
using spool_internal::UnreadRange;

namespace {

constexpr int64_t kNanosPerMilli = 1'000'000;
constexpr int64_t kRereadNs = 1'000 * kNanosPerMilli;

}  // namespace

size_t Spool::Impl::Claim(const ClaimLimits& limits, std::vector<OutboxMessage>* out) {
  const size_t before = out->size();
  bool set_aside = false;
  do {  // Who gets nothing takes it that nothing is there.
    ClaimOnce(limits, out);
    set_aside = OpenClaimed(before, out);
  } while (set_aside && out->size() == before);
  bool wake = false;
  {
    absl::MutexLock lock(&mutex_);
    wake = !queue_.removals.empty();  // Expired or damaged ones.
  }
  if (wake) waker_.Wake();
  return out->size() - before;
}

void Spool::Impl::ClaimOnce(const ClaimLimits& limits, std::vector<OutboxMessage>* out) {
  Claiming claiming;
  claiming.left = limits;
  claiming.live_ms = SpoolNowMs() - absl::ToInt64Milliseconds(options_.live_age);
  claiming.out = out;
  {
    absl::MutexLock lock(&mutex_);
    if (closing_) return;
    index_.MoveDue(clock_->MonotonicNanos());
  }
  for (int c = 0; c < kClasses; ++c) {
    ClaimDue(c, /*live=*/true, &claiming);
    ClaimReady(c, &claiming);
    ClaimDue(c, /*live=*/false, &claiming);
    ClaimHeld(c, &claiming);
    ClaimUnread(c, &claiming);
  }
}

// Sets the deadline; false when it has passed.
bool Spool::Impl::Deliverable(LoadedMessage* loaded) {
  loaded->message.queued_ns = (SpoolNowMs() - loaded->spool_ms) * kNanosPerMilli;
  const int64_t life_ms = TimeToLiveMs(loaded->message.data_type);
  if (life_ms == 0) return true;
  const int64_t left_ms = loaded->spool_ms + life_ms - SpoolNowMs();
  if (left_ms <= 0) return false;
  constexpr int64_t kMaxLeftMs = Outbox::kNever / kNanosPerMilli / 4;
  loaded->message.deadline_monotonic_ns =
      clock_->MonotonicNanos() + std::min(left_ms, kMaxLeftMs) * kNanosPerMilli;
  return true;
}

// Gives away a message that the index has let out, unless its time is over.
void Spool::Impl::Give(LoadedMessage loaded, bool backlog, Claiming* claiming) {
  if (!Deliverable(&loaded)) return LeaveLocked(loaded.message.key, RemovalKind::kExpired, "");
  const size_t bytes = loaded.message.envelope_json.size();
  claiming->left.bytes -= std::min(claiming->left.bytes, bytes);
  --claiming->left.messages;
  --(backlog ? claiming->left.backlog : claiming->left.live);
  loaded.message.backlog = backlog;
  claiming->out->push_back(std::move(loaded.message));
}

bool Spool::Impl::MayTakeMore(int klass) {
  claim_was_full_ = claim_was_full_ || index_.Full(klass);
  return !index_.Full(klass);
}

void Spool::Impl::ClaimDue(int klass, bool live, Claiming* claiming) {
  const bool backlog = Claiming::IsBacklog(klass, /*waited=*/!live);
  while (claiming->more(backlog)) {
    absl::MutexLock read(&read_mutex_);
    int64_t key = 0;
    {
      absl::MutexLock lock(&mutex_);
      OutEntry* entry = nullptr;
      if (!index_.TakeDue(klass, live, claiming->live_ms, claiming->left.put_off, &key, &entry))
        return;
      if (entry->ghost) {
        LeaveLocked(key, RemovalKind::kExpired, "");
        continue;
      }
    }
    if (!GiveStored(key, backlog, claiming)) return;
  }
}

// Reads the body of what the index has let out and gives it away. False: the file cannot be read.
bool Spool::Impl::GiveStored(int64_t key, bool backlog, Claiming* claiming) {
  absl::StatusOr<absl::optional<StoredRow>> stored =
      reader_ == nullptr ? absl::UnavailableError("spool: being repaired") : reader_->ReadRow(key);
  absl::MutexLock lock(&mutex_);
  if (!stored.ok() || !stored->has_value()) {
    index_.Delay(key, clock_->MonotonicNanos() + kRereadNs);
    if (stored.ok() || absl::IsDataLoss(stored.status())) {
      NoteDamageLocked("spool: a claimed row is missing or unreadable");
    }
    return false;
  }
  StoredRow& row = **stored;
  OutEntry* const entry = index_.Find(key);
  if (entry->bytes == 0) {  // It was held: of it no more than the key was known.
    entry->bytes = row.bytes;
    entry->spool_ms = row.row.spool_ms;
    entry->attempts = row.attempt.attempts;
    entry->rejects = row.attempt.rejects;
    entry->has_attempt_row = row.attempt.attempts > 0;
  }
  if (!row.intact) {
    LeaveLocked(key, RemovalKind::kDamaged, "checksum does not match");
    return true;
  }
  LoadedMessage loaded = spool_internal::LoadedFrom(std::move(row.row));
  loaded.message.attempts = entry->attempts;
  Give(std::move(loaded), backlog, claiming);
  return true;
}

void Spool::Impl::ClaimReady(int klass, Claiming* claiming) {
  absl::MutexLock lock(&mutex_);
  const bool backlog = Claiming::IsBacklog(klass, /*waited=*/false);
  if (Claiming::IsBacklog(klass, /*waited=*/true)) index_.DropStale(klass, claiming->live_ms);
  LoadedMessage loaded;
  while (claiming->more(backlog) && MayTakeMore(klass) && index_.TakeReady(klass, &loaded)) {
    Give(std::move(loaded), backlog, claiming);
  }
}

void Spool::Impl::ClaimHeld(int klass, Claiming* claiming) {
  const bool backlog = Claiming::IsBacklog(klass, /*waited=*/true);
  if (claiming->more(backlog)) RefillStreams(klass);
  while (claiming->more(backlog)) {
    absl::MutexLock read(&read_mutex_);
    int64_t key = 0;
    {
      absl::MutexLock lock(&mutex_);
      OutEntry* entry = nullptr;
      if (!MayTakeMore(klass) || !index_.TakeHeld(klass, &key, &entry)) return;
    }
    if (!GiveStored(key, backlog, claiming)) return;
  }
}

// False: reading must end here.
bool Spool::Impl::ClaimRow(StoredRow stored, Claiming* claiming) {
  const int64_t key = stored.row.key;
  const bool backlog = Claiming::IsBacklog(KeyClass(key), /*waited=*/true);
  LoadedMessage loaded = Load(std::move(stored.row));
  if (!stored.intact) loaded.stream = 0;  // Its device is not to be believed.
  loaded.bytes = stored.bytes;
  loaded.message.attempts = stored.attempt.attempts;
  loaded.rejects = stored.attempt.rejects;
  loaded.has_attempt_row = stored.attempt.attempts > 0;
  switch (index_.TakeRead(&loaded)) {
    case SpoolIndex::Take::kFull:
      return false;
    case SpoolIndex::Take::kPassed:
      return true;
    case SpoolIndex::Take::kTaken:
      break;
  }
  if (stored.intact) {
    Give(std::move(loaded), backlog, claiming);
  } else {
    LeaveLocked(key, RemovalKind::kDamaged, "checksum does not match");
  }
  return claiming->more(backlog) && MayTakeMore(KeyClass(key));
}

absl::Status Spool::Impl::ClaimRows(const spool_internal::KeyRange& range, Claiming* claiming,
                                    int64_t* rows, bool* stopped) {
  return reader_->ReadRows(range, [&](StoredRow stored) {
    ++*rows;
    absl::MutexLock lock(&mutex_);
    *stopped = !ClaimRow(std::move(stored), claiming);
    return !*stopped;
  });
}

void Spool::Impl::ClaimUnread(int klass, Claiming* claiming) {
  const bool backlog = Claiming::IsBacklog(klass, /*waited=*/true);
  const bool in_order = std::any_of(options_.ordered.begin(), options_.ordered.end(),
                                    [](bool ordered) { return ordered; });
  int64_t passed = 0;
  while (claiming->more(backlog)) {
    UnreadRange unread;
    absl::MutexLock read(&read_mutex_);
    {
      absl::MutexLock lock(&mutex_);
      unread = index_.Unread(klass);
      if (unread.count <= 0 || reader_ == nullptr || !MayTakeMore(klass)) return;
    }
    const size_t most = backlog ? claiming->left.backlog : claiming->left.live;
    const int64_t limit =
        in_order
            ? kRowsPerRead
            : static_cast<int64_t>(std::min({size_t{kRowsPerRead}, claiming->left.messages, most}));
    int64_t rows = 0;
    bool stopped = false;
    const spool_internal::KeyRange range{unread.first, unread.last, limit};
    const absl::Status status = in_order ? ClaimInOrder(range, claiming, &rows, &stopped)
                                         : ClaimRows(range, claiming, &rows, &stopped);
    if (!status.ok()) {
      if (absl::IsDataLoss(status)) ReportDamage(std::string(status.message()));
      return;
    }
    if (stopped) return;
    passed += rows;
    if (in_order && passed >= kMostRowsPassed) return ClaimAgain();
    if (rows >= limit) continue;
    absl::MutexLock lock(&mutex_);
    if (!index_.CheckExhausted(klass, unread)) NoteDamageLocked("spool: rows are missing");
    return;
  }
}

}  // namespace viaduct
