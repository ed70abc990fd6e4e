// The bounds of the spool itself: what fits, what goes to make room, and what dead letters may
// take.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/spool/spool_impl.h"

namespace viaduct {

using spool_internal::CountDead;
using spool_internal::CountRow;
using spool_internal::FirstKey;
using spool_internal::kClasses;
using spool_internal::KeySequence;
using spool_internal::LastKey;
using spool_internal::StoredDeadRow;

namespace {

constexpr int64_t kDropScanRows = 256;

}  // namespace

bool Spool::Impl::Fits(const SpoolState& state, uint64_t bytes) const {
  auto messages = static_cast<uint64_t>(state.dead_messages);
  auto total = static_cast<uint64_t>(state.dead_bytes);
  for (size_t c = 0; c < kClasses; ++c) {
    messages += static_cast<uint64_t>(state.messages[c]);
    total += static_cast<uint64_t>(state.bytes[c]);
  }
  return messages < options_.max_messages && total + bytes <= options_.max_bytes;
}

bool Spool::Impl::FitsWithout(int klass, SpoolState state, uint64_t bytes) const {
  for (auto c = static_cast<size_t>(klass); c < kClasses; ++c) {
    state.messages[c] = 0;
    state.bytes[c] = 0;
  }
  return Fits(state, bytes);
}

// Dead letters go first, then the oldest waiting messages of the lowest priority there is, down to
// the priority of the one that wants in. Nothing goes where all of it would not make room enough.
absl::Status Spool::Impl::MakeRoom(int klass, uint64_t bytes, Effects* effects, bool* made) {
  while (!*made) {
    SpoolState left = effects->state;  // As it would be.
    left.dead_messages = 0;
    left.dead_bytes = 0;
    if (!FitsWithout(klass, left, bytes)) return absl::OkStatus();  // Nothing needs to be read.
    std::vector<Candidate> chosen;
    VD_RETURN_IF_ERROR(ChooseWaiting(klass, bytes, *effects, &left, &chosen));
    if (!Fits(left, bytes)) return absl::OkStatus();
    while (effects->state.dead_messages > 0 && !Fits(effects->state, bytes)) {
      VD_RETURN_IF_ERROR(DropOldestDead(SpoolDrop::kFull, effects));
    }
    for (const Candidate& candidate : chosen) VD_RETURN_IF_ERROR(DropChosen(candidate, effects));
    *made = Fits(effects->state, bytes);  // If not, some were claimed meanwhile: others are chosen.
  }
  return absl::OkStatus();
}

absl::Status Spool::Impl::ChooseWaiting(int klass, uint64_t bytes, const Effects& effects,
                                        SpoolState* left, std::vector<Candidate>* chosen) {
  for (int c = kClasses - 1; c >= klass; --c) {
    int64_t next = effects.drop_from[static_cast<size_t>(c)];
    {
      absl::MutexLock lock(&mutex_);
      next = std::max(next, index_.FirstWaiting(c));
    }
    bool more = true;
    while (more && !Fits(*left, bytes)) {
      more = false;
      const auto choose = [&](const StoredRow& stored) {
        more = true;
        next = stored.row.key + 1;
        const Candidate candidate{OrderOf(stored.row), stored.bytes};
        absl::MutexLock lock(&mutex_);
        if (!index_.Waits(candidate.row)) return true;
        CountRow(stored.row.key, stored.bytes, -1, left);
        chosen->push_back(candidate);
        return !Fits(*left, bytes);
      };
      VD_RETURN_IF_ERROR(writer_->ReadRowsBriefly({next, LastKey(c), kDropScanRows}, choose));
    }
  }
  return absl::OkStatus();
}

absl::Status Spool::Impl::DropChosen(const Candidate& candidate, Effects* effects) {
  Removal removal;
  removal.key = candidate.row.key;
  removal.stream = candidate.row.stream;
  removal.bytes = candidate.bytes;
  removal.kind = RemovalKind::kDropped;
  removal.why = SpoolDrop::kFull;
  removal.has_attempt_row = true;
  {
    absl::MutexLock lock(&mutex_);
    if (!index_.TakeWaiting(candidate.row, OutState::kLeaving, candidate.bytes)) {
      return absl::OkStatus();
    }
  }
  effects->drop_from[static_cast<size_t>(spool_internal::KeyClass(removal.key))] = removal.key + 1;
  effects->dropped.push_back(removal);
  return ApplyRemoval(removal, effects);
}

// What a transaction that failed has dropped waits again.
void Spool::Impl::GiveBack(Effects* effects) {
  if (effects->dropped.empty()) return;
  absl::MutexLock read(&read_mutex_);
  absl::MutexLock lock(&mutex_);
  for (const Removal& removal : effects->dropped) index_.GiveBack({removal.key, removal.stream});
  effects->dropped.clear();
}

// ---- dead letters

// The last one stays, whatever its size.
bool Spool::Impl::DeadOverShare(const SpoolState& state) const {
  if (state.dead_messages <= 1) return false;
  const double share = options_.dead_letter_share;
  const auto messages = static_cast<double>(state.dead_messages);
  const auto bytes = static_cast<double>(state.dead_bytes);
  return messages > share * static_cast<double>(options_.max_messages) ||
         bytes > share * static_cast<double>(options_.max_bytes);
}

absl::Status Spool::Impl::TrimDead(size_t most, Effects* effects) {
  for (size_t i = 0; i < most && DeadOverShare(effects->state); ++i) {
    VD_RETURN_IF_ERROR(DropOldestDead(SpoolDrop::kDeadLetters, effects));
  }
  return absl::OkStatus();
}

// In order of acceptance.
absl::Status Spool::Impl::DropOldestDead(SpoolDrop why, Effects* effects) {
  absl::optional<int64_t> oldest;
  for (int c = 0; c < kClasses; ++c) {
    VD_ASSIGN_OR_RETURN(const absl::optional<int64_t> first,
                        writer_->FirstDead(FirstKey(c), LastKey(c)));
    if (!first.has_value()) continue;
    if (!oldest.has_value() || KeySequence(*first) < KeySequence(*oldest)) oldest = first;
  }
  if (!oldest.has_value()) return absl::DataLossError("spool: dead letters do not add up");
  return EraseDead(*oldest, why, effects).status();
}

// False: there is no such dead letter.
absl::StatusOr<bool> Spool::Impl::EraseDead(int64_t key, SpoolDrop why, Effects* effects) {
  absl::optional<uint64_t> bytes;
  VD_RETURN_IF_ERROR(writer_->ReadDead({key, key, 1}, [&bytes](const StoredDeadRow& stored) {
    bytes = stored.bytes;
    return true;
  }));
  if (!bytes.has_value()) return false;
  VD_ASSIGN_OR_RETURN([[maybe_unused]] const bool found, writer_->DeleteDead(key));
  CountDead(*bytes, -1, &effects->state);
  CountDrop(why, effects);
  return true;
}

// ---- what is counted and told

void Spool::Impl::CountDrop(SpoolDrop why, Effects* effects) {
  ++effects->state.dropped_total;
  ++effects->drops[static_cast<size_t>(why)];
}

void Spool::Impl::CountRefused(SpoolRefusal why, size_t count) {
  refusals_[static_cast<size_t>(why)] += count;
}

// A message of so many bytes met the bounds. One that would fit into no spool says nothing of this.
void Spool::Impl::NoteFull(uint64_t bytes) {
  CountRefused(SpoolRefusal::kFull, 1);
  if (bytes > options_.max_bytes) return;
  full_for_bytes_ = full_for_bytes_ == 0 ? bytes : std::min(full_for_bytes_, bytes);
}

// The first one at once, then how many there were in a minute.
void Spool::Impl::TellLosses() {
  constexpr int64_t kTellNs = 60'000'000'000;
  const int64_t now = clock_->MonotonicNanos();
  if (now < next_tell_ns_) return;
  Losses news;
  {
    absl::MutexLock lock(&mutex_);
    news = {drops_, refusals_};
  }
  const auto since = [](uint64_t is, uint64_t* was) { return is - std::exchange(*was, is); };
  const auto grown = [&](SpoolDrop why) {
    return since(news.drops[static_cast<size_t>(why)], &told_.drops[static_cast<size_t>(why)]);
  };
  const uint64_t for_room = grown(SpoolDrop::kFull);
  const uint64_t dead = grown(SpoolDrop::kDeadLetters);
  uint64_t refused = 0;
  for (size_t i = 0; i < kSpoolRefusals; ++i)
    refused += since(news.refusals[i], &told_.refusals[i]);
  if (for_room + dead + refused == 0) return;
  next_tell_ns_ = now + kTellNs;
  log_->Warning("spool", "messages were given up or refused",
                {{"dropped_full", absl::StrCat(for_room)},
                 {"dropped_dead_letters", absl::StrCat(dead)},
                 {"refused", absl::StrCat(refused)}});
}

}  // namespace viaduct
