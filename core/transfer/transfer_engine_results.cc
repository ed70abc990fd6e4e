// What becomes of a file when an attempt ends, and what the queue and the server are told.
#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/executor.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/transfer/transfer_engine.h"

namespace viaduct {
namespace {

constexpr char kComponent[] = "transfers";
constexpr size_t kMaxErrorBytes = 512;  // Of what is kept with a row.

int64_t Nanos(absl::Duration duration) { return absl::ToInt64Nanoseconds(duration); }

std::string TextOf(const absl::Status& status) {
  return std::string(status.message().substr(0, kMaxErrorBytes));
}

}  // namespace

void TransferEngine::OnAttemptEnded(int64_t sequence, uint64_t attempt, FileResult result) {
  Active active;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = active_.find(sequence);
    if (found == active_.end() || found->second.attempt != attempt) return;
    active = std::move(found->second);
    active_.erase(found);
    if (result.outcome == Outcome::kDurable && active.transfer.size > active.moved) {
      totals_.bytes += active.transfer.size - active.moved;
    }
  }
  if (active.cancelled) {
    scheduler_.Remove(sequence);
    const bool left = result.outcome != Outcome::kDurable && active.ticket != 0;
    if (left) offsets_[sequence].emplace(active.road_name, 0);
    return Settle(sequence);
  }
  if (result.outcome == Outcome::kDurable || result.outcome == Outcome::kReject) {
    offsets_.erase(sequence);
  }
  if (result.outcome == Outcome::kDurable && !result.sha256.empty() &&
      result.sha256 != active.transfer.sha256) {
    result.outcome = Outcome::kRetry;
    result.durable_offset = 0;
    result.status = absl::DataLossError(absl::StrCat(
        "what arrived has another digest, ", result.sha256, ", not ", active.transfer.sha256));
  } else if (active.stalled && result.outcome == Outcome::kCancelled) {
    result.outcome = Outcome::kRetry;
    result.status = absl::DeadlineExceededError(
        absl::StrCat("no progress for ", absl::FormatDuration(options_.stall_timeout)));
  }
  TransferScheduler::Ended ended;
  ended.outcome = result.outcome;
  ended.code = result.status.code();
  ended.retry_after = result.retry_after;
  ended.progressed = DurableAfter(active, result) > active.begun_at;
  const auto verdict = scheduler_.OnEnded(sequence, ended, deps_.clock->MonotonicNanos());
  switch (verdict.next) {
    case TransferScheduler::Next::kDone:
      return OnSent(active);
    case TransferScheduler::Next::kGiveUp:
      return GiveUp(active, result.status, verdict.attempt);
    case TransferScheduler::Next::kAgain:
      break;
  }
  if (verdict.attempt) return OnFailed(active, result, verdict.strike ? 1 : 0);
  OnReleased(active, result);
}

uint64_t TransferEngine::DurableAfter(const Active& active, const FileResult& result) {
  if (absl::IsDataLoss(result.status)) return 0;
  return std::min(std::max(active.durable, result.durable_offset), active.transfer.size);
}

// Nothing failed: the road let it go, and keeps what is durable there.
void TransferEngine::OnReleased(const Active& active, const FileResult& result) {
  const uint64_t durable = DurableAfter(active, result);
  if (durable == active.begun_at) {
    // It may have left something nevertheless, but for one that it did not begin.
    if (active.ticket != 0) offsets_[active.transfer.sequence].emplace(active.road_name, durable);
    return;
  }
  offsets_[active.transfer.sequence][active.road_name] = durable;
  Save(
      active.transfer.id,
      [road = active.road_name, durable](Transfer* transfer) {
        transfer->durable[road] = durable;
        return absl::OkStatus();
      },
      nullptr);
}

void TransferEngine::OnFailed(const Active& active, const FileResult& result, uint32_t strikes) {
  {
    absl::MutexLock lock(&mutex_);
    ++totals_.attempts;
  }
  deps_.log->Info(kComponent, "a file did not arrive, it is tried again",
                  {{"transfer", active.transfer.id},
                   {"road", active.road_name},
                   {"reason", StdView(result.status.message())}});
  const bool lost = absl::IsDataLoss(result.status);
  const uint64_t durable = DurableAfter(active, result);
  offsets_[active.transfer.sequence][active.road_name] = durable;
  const bool progressed = durable > active.begun_at;
  Save(
      active.transfer.id,
      [road = active.road_name, durable, lost, progressed, strikes,
       error = TextOf(result.status)](Transfer* transfer) {
        ++transfer->attempts;
        transfer->strikes = progressed ? 0 : transfer->strikes + strikes;
        transfer->last_error = error;
        transfer->road = road;
        if (lost) {
          transfer->durable.erase(road);
        } else {
          transfer->durable[road] = durable;  // 0, too: something may be there.
        }
        return absl::OkStatus();
      },
      nullptr);
}

void TransferEngine::OnSent(const Active& active) {
  Discard(active.transfer, active.road_name);
  const bool server = options_.server_confirms;
  const bool keep = options_.keep_confirmed;
  const absl::Time now = deps_.clock->Now();
  Save(
      active.transfer.id,
      [server, now, road = active.road_name](Transfer* transfer) {
        if (IsFinished(transfer->state)) return absl::FailedPreconditionError("finished");
        const bool waits = server && !transfer->server_stored;
        transfer->state = waits ? TransferState::kWaitingConfirmation : TransferState::kDone;
        transfer->changed = now;
        transfer->road = road;
        transfer->last_error.clear();
        transfer->durable.clear();
        return absl::OkStatus();
      },
      [this, keep](const Transfer& transfer) {
        if (transfer.state == TransferState::kWaitingConfirmation) {
          Later(0, [this, sequence = transfer.sequence] {
            unconfirmed_[sequence] =
                deps_.clock->MonotonicNanos() + Nanos(options_.confirm_timeout);
          });
          return;
        }
        {
          absl::MutexLock lock(&mutex_);
          ++totals_.done;
        }
        if (!keep) removal_.Remove(transfer);
      });
}

void TransferEngine::GiveUp(const Active& active, absl::Status why, bool attempt) {
  {
    absl::MutexLock lock(&mutex_);
    ++totals_.failed;
    if (attempt) ++totals_.attempts;
  }
  deps_.log->Warning(kComponent, "a file is given up until somebody retries it",
                     {{"transfer", active.transfer.id},
                      {"file", active.transfer.local_path},
                      {"road", active.road_name},
                      {"reason", StdView(why.message())}});
  Save(
      active.transfer.id,
      [error = TextOf(why), road = active.road_name, now = deps_.clock->Now()](Transfer* transfer) {
        if (IsFinished(transfer->state)) return absl::FailedPreconditionError("finished");
        ++transfer->attempts;
        transfer->state = TransferState::kFailed;
        transfer->changed = now;
        transfer->last_error = error;
        transfer->road = road;
        transfer->durable.try_emplace(road, 0);
        return absl::OkStatus();
      },
      nullptr);
}

// What is durable there, and what may be there besides.
void TransferEngine::Discard(const Transfer& transfer, const std::string& but) {
  std::map<std::string, uint64_t> roads = transfer.durable;
  const auto newer = offsets_.find(transfer.sequence);
  if (newer != offsets_.end()) roads.insert(newer->second.begin(), newer->second.end());
  offsets_.erase(transfer.sequence);
  for (const auto& [road, offset] : roads) {
    if (road != but) leftovers_.Add(road, transfer);
  }
}

void TransferEngine::Save(const std::string& id, TransferQueue::Edit edit,
                          std::function<void(const Transfer&)> then) {
  deps_.queue->Change(id, edit, [this, id, edit, then](absl::StatusOr<Transfer> saved) {
    if (saved.ok()) {
      if (then) then(*saved);
      return;
    }
    const bool passes =
        absl::IsResourceExhausted(saved.status()) || absl::IsUnavailable(saved.status());
    if (!passes || stopping_.load()) return;  // Cancelled, or forgotten; or found again at start.
    Later(deps_.clock->MonotonicNanos() + Nanos(kRepeat),
          [this, id, edit, then] { Save(id, edit, then); });
  });
}

// It may have been retried since it was cancelled: only the row knows.
void TransferEngine::Settle(int64_t sequence) {
  const absl::StatusOr<Transfer> row = deps_.queue->Get(sequence);
  if (!row.ok()) {
    if (absl::IsNotFound(row.status())) return;
    later_[deps_.clock->MonotonicNanos() + Nanos(kRepeat)].push_back(
        [this, sequence] { Settle(sequence); });
    return;
  }
  if (row->state == TransferState::kQueued) {
    offsets_.erase(sequence);
    return scheduler_.Add({sequence, row->priority, row->size, row->strikes});
  }
  if (row->state != TransferState::kCancelled) return;
  Discard(*row, "");
  removal_.Remove(*row);
}

// Silence counts only while the server could be heard.
void TransferEngine::LookAtUnconfirmed() {
  const int64_t now = deps_.clock->MonotonicNanos();
  const bool before = std::exchange(heard_, !deps_.heard || unconfirmed_.empty() || deps_.heard());
  if (!heard_) return;
  std::vector<int64_t> late;
  for (auto& [sequence, until] : unconfirmed_) {
    if (!before) until = std::max(until, now + Nanos(options_.confirm_timeout));
    if (until <= now) late.push_back(sequence);
  }
  for (const int64_t sequence : late) {
    unconfirmed_.erase(sequence);
    const absl::StatusOr<Transfer> transfer = deps_.queue->Get(sequence);
    if (transfer.ok()) {
      SendAgain(*transfer);
    } else if (!absl::IsNotFound(transfer.status())) {
      unconfirmed_[sequence] = now + Nanos(kRepeat);
    }
  }
}

void TransferEngine::SendAgain(const Transfer& transfer) {
  Save(
      transfer.id,
      [tell = deps_.announce != nullptr, now = deps_.clock->Now()](Transfer* row) {
        if (row->state != TransferState::kWaitingConfirmation) {
          return absl::FailedPreconditionError("it does not wait");
        }
        row->state = TransferState::kQueued;
        row->changed = now;
        row->last_error = "the server did not confirm it";
        if (tell) TellAnew(row);
        return absl::OkStatus();
      },
      [this](const Transfer& row) {
        Event event;
        event.kind = Event::Kind::kAgain;
        event.transfer = row;
        Post(std::move(event));
      });
}

void TransferEngine::OnAgain(const Transfer& transfer) {
  unconfirmed_.erase(transfer.sequence);
  TransferScheduler::File file{transfer.sequence, transfer.priority, transfer.size,
                               transfer.strikes};
  if (transfer.strikes > 0) {
    const absl::Duration delay =
        RetryPolicy::DelayAfter(options_.scheduler.retry, transfer.strikes, random_);
    file.due_ns = deps_.clock->MonotonicNanos() + Nanos(delay);
  }
  scheduler_.Add(file);
  if (!transfer.announced) announcer_.Add(transfer.sequence);
}

void TransferEngine::OnServerStatus(const std::string& id, const std::string& status,
                                    const std::string& sha256, const std::string& detail) {
  if (status != "stored" && status != "failed") return;
  // A broker tells everybody of everybody's files.
  if (absl::IsNotFound(deps_.queue->Get(id).status())) return;
  const bool stored = status == "stored";
  const uint32_t most = options_.scheduler.max_attempts;
  // One that is still under way is in the scheduler already.
  const auto moved = std::make_shared<bool>(false);
  Save(
      id,
      [this, stored, sha256, detail, moved, most, tell = deps_.announce != nullptr,
       now = deps_.clock->Now()](Transfer* transfer) {
        const bool right = stored && (sha256.empty() || sha256 == transfer->sha256);
        if (IsFinished(transfer->state)) return absl::FailedPreconditionError("finished");
        transfer->server_stored = right;
        if (!right) {
          transfer->last_error =
              stored ? absl::StrCat("the server has another digest, ", sha256) : detail;
        }
        // It may have arrived by an attempt that was believed to have failed.
        const bool here = right && !sha256.empty() && transfer->state == TransferState::kQueued &&
                          !IsActive(transfer->sequence);
        *moved = here || transfer->state == TransferState::kWaitingConfirmation;
        if (!*moved) return absl::OkStatus();
        transfer->changed = now;
        if (right) {
          transfer->state = TransferState::kDone;
          return absl::OkStatus();
        }
        transfer->state =
            ++transfer->strikes < most ? TransferState::kQueued : TransferState::kFailed;
        if (tell) TellAnew(transfer);
        return absl::OkStatus();
      },
      [this, moved](const Transfer& transfer) {
        if (!*moved) return;
        Event event;
        event.kind = transfer.state == TransferState::kQueued ? Event::Kind::kAgain
                                                              : Event::Kind::kConfirmed;
        event.sequence = transfer.sequence;
        event.transfer = transfer;
        Post(std::move(event));
      });
}

// Done, or refused by the server too often.
void TransferEngine::OnConfirmed(const Transfer& transfer) {
  unconfirmed_.erase(transfer.sequence);
  const bool done = transfer.state == TransferState::kDone;
  if (!IsActive(transfer.sequence)) {
    scheduler_.Remove(transfer.sequence);
    if (done) Discard(transfer, "");
    offsets_.erase(transfer.sequence);
  }
  {
    absl::MutexLock lock(&mutex_);
    ++(done ? totals_.done : totals_.failed);
  }
  if (done) {
    if (!options_.keep_confirmed) removal_.Remove(transfer);
    return;
  }
  deps_.log->Warning(kComponent, "a file is given up, the server refuses it",
                     {{"transfer", transfer.id}, {"reason", transfer.last_error}});
}

// On any thread.
void TransferEngine::OnAnswered(const TransferAnnouncer::Word& word, absl::Status told) {
  if (told.ok()) {
    Save(
        word.id,
        [tellings = word.tellings](Transfer* row) {
          if (row->tellings == tellings) row->announced = true;
          return absl::OkStatus();
        },
        nullptr);
  }
  Event event;
  event.kind = Event::Kind::kTold;
  event.sequence = word.sequence;
  event.told = std::move(told);
  Post(std::move(event));
}

}  // namespace viaduct
