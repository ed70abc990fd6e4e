#include "core/transfer/transfer_announcer.h"

#include <algorithm>

#include "core/transfer/transfer_scheduler.h"

namespace viaduct {
namespace {

int64_t Nanos(absl::Duration duration) { return absl::ToInt64Nanoseconds(duration); }

// The room that is missing comes back; a word that cannot be said stays so.
bool IsForWantOfRoom(const absl::Status& told) {
  return absl::IsResourceExhausted(told) || absl::IsUnavailable(told) || absl::IsAborted(told) ||
         absl::IsDeadlineExceeded(told) || absl::IsCancelled(told);
}

}  // namespace

void TransferAnnouncer::Add(int64_t sequence) {
  if (tell_ != nullptr && known_.insert(sequence).second) waiting_.emplace(0, sequence);
}

int64_t TransferAnnouncer::Turn() {
  const int64_t now = clock_->MonotonicNanos();
  for (size_t told = 0; told < kMaxInTurn && under_way_ < kMaxUnderWay; ++told) {
    if (waiting_.empty() || now < paused_until_ns_ || waiting_.begin()->first > now) break;
    const int64_t sequence = waiting_.begin()->second;
    waiting_.erase(waiting_.begin());
    known_.erase(sequence);
    Tell(sequence, now);
  }
  if (waiting_.empty() || under_way_ >= kMaxUnderWay) return TransferScheduler::kNever;
  return std::max({waiting_.begin()->first, paused_until_ns_, now});
}

void TransferAnnouncer::Tell(int64_t sequence, int64_t now_ns) {
  const absl::StatusOr<Transfer> transfer = queue_->Get(sequence);
  if (!transfer.ok()) {
    if (absl::IsNotFound(transfer.status())) return;
    paused_until_ns_ = now_ns + Nanos(kPause);
    return Add(sequence);
  }
  if (transfer->announced || transfer->state == TransferState::kCancelled) return;
  ++under_way_;
  tell_(*transfer, [answered = answered_, word = Word{sequence, transfer->id, transfer->tellings}](
                       absl::Status told) { answered(word, std::move(told)); });
}

void TransferAnnouncer::OnTold(int64_t sequence, const absl::Status& told) {
  --under_way_;
  if (told.ok()) return;
  const int64_t now = clock_->MonotonicNanos();
  if (IsForWantOfRoom(told)) {
    paused_until_ns_ = now + Nanos(kPause);
    return Add(sequence);
  }
  if (known_.insert(sequence).second) waiting_.emplace(now + Nanos(kRefusedDelay), sequence);
}

}  // namespace viaduct
