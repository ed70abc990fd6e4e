#include "plugins/mqtt/prober.h"

#include <utility>

namespace viaduct::mqtt {

bool Prober::Ask(int64_t deadline_ns, ProbeFn done) {
  absl::Status ended;
  {
    absl::MutexLock lock(&mutex_);
    if (done_ != nullptr) return false;
    ended = ended_;
    if (ended.ok()) {
      done_ = std::move(done);
      deadline_ns_ = deadline_ns;
      return true;
    }
  }
  done(ended, absl::ZeroDuration(), ProbeCost());
  return true;
}

absl::Duration Prober::OnTurn(int64_t now_ns, uint64_t bytes,
                              absl::FunctionRef<absl::StatusOr<int>()> send) {
  int64_t deadline_ns = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (done_ == nullptr) return absl::InfiniteDuration();
    deadline_ns = deadline_ns_;
  }
  if (deadline_ns <= now_ns) {
    Finish(absl::DeadlineExceededError("broker: did not answer the probe in time"));
  } else if (sent_id_ == 0 && unanswered_ >= kMaxUnanswered) {
    Finish(absl::UnavailableError("broker: does not answer probes"));
  } else if (sent_id_ == 0) {
    const absl::StatusOr<int> id = send();
    if (!id.ok()) {
      Finish(id.status());
    } else if (*id != 0) {
      sent_id_ = *id;
      sent_ns_ = now_ns;
      cost_.sent = bytes;
      ++unanswered_;
    }
  }
  return absl::Nanoseconds(deadline_ns - now_ns);
}

void Prober::OnAnswer(int id, int64_t now_ns) {
  if (unanswered_ > 0) --unanswered_;
  // A late one is that of the probe before.
  if (id == 0 || id != sent_id_) return;
  cost_.received = kAnswerBytes;
  Finish(absl::OkStatus(), absl::Nanoseconds(now_ns - sent_ns_));
}

void Prober::End(const absl::Status& why) {
  const absl::Status status = why.ok() ? absl::CancelledError("probe: the instance stops") : why;
  {
    absl::MutexLock lock(&mutex_);
    ended_ = status;
  }
  Finish(status);
}

void Prober::Finish(const absl::Status& status, absl::Duration round_trip) {
  ProbeFn done;
  sent_id_ = 0;
  const ProbeCost cost = std::exchange(cost_, ProbeCost());
  {
    absl::MutexLock lock(&mutex_);
    done = std::exchange(done_, nullptr);
  }
  if (done != nullptr) done(status, round_trip, cost);
}

}  // namespace viaduct::mqtt
