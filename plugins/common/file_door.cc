#include "plugins/common/file_door.h"

#include "plugins/common/monotonic.h"

namespace viaduct {

size_t FileDoor::credit() const {
  absl::MutexLock lock(&mutex_);
  return limit_ > held_ ? limit_ - held_ : 0;
}

absl::Status FileDoor::Begin(FileJob job) {
  {
    absl::MutexLock lock(&mutex_);
    if (limit_ == 0) return absl::UnavailableError("server: not connected");
    if (held_ >= limit_) return absl::ResourceExhaustedError("files: too many are under way");
    ++held_;
    mail_.begun.push_back(std::move(job));
  }
  wake_();
  return absl::OkStatus();
}

void FileDoor::Cancel(uint64_t token) {
  {
    absl::MutexLock lock(&mutex_);
    if (held_ == 0) return;
    mail_.cancelled.push_back(token);
  }
  wake_();
}

absl::Status FileDoor::Discard(FileLeftover leftover) {
  {
    absl::MutexLock lock(&mutex_);
    if (limit_ == 0) return absl::UnavailableError("server: not connected");
    if (mail_.leftovers.size() >= kMaxLeftovers) {
      return absl::ResourceExhaustedError("leftovers: too many wait to be removed");
    }
    mail_.leftovers.push_back(std::move(leftover));
  }
  wake_();
  return absl::OkStatus();
}

bool FileDoor::Probe(absl::Duration limit, ProbeFn done) {
  absl::Status ended;
  ProbeFn refused;
  {
    absl::MutexLock lock(&mutex_);
    if (probe_) return false;
    ended = ended_;
    if (over_) {
      refused = std::move(done);
    } else {
      probe_ = std::move(done);
      probe_deadline_ns_ = MonotonicNs() + absl::ToInt64Nanoseconds(limit);
    }
  }
  if (refused) {
    refused(ended.ok() ? absl::CancelledError("probe: stopped") : ended, absl::ZeroDuration(),
            ProbeCost());
  }
  wake_();
  return true;
}

bool FileDoor::Drain(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const auto none = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return held_ == 0; };
  return mutex_.AwaitWithTimeout(absl::Condition(&none), timeout);
}

void FileDoor::Open(size_t limit) {
  absl::MutexLock lock(&mutex_);
  limit_ = limit;
}

FileDoor::Mail FileDoor::Take() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(mail_, {});
}

void FileDoor::Ended() {
  absl::MutexLock lock(&mutex_);
  --held_;
}

std::deque<FileJob> FileDoor::Close(const absl::Status& why) {
  absl::MutexLock lock(&mutex_);
  limit_ = 0;
  over_ = true;
  ended_ = why;
  return std::exchange(mail_.begun, {});
}

int64_t FileDoor::probe_deadline_ns() const {
  absl::MutexLock lock(&mutex_);
  return probe_ ? probe_deadline_ns_ : 0;
}

void FileDoor::FinishProbe(const absl::Status& status, absl::Duration round_trip,
                           const ProbeCost& cost) {
  ProbeFn done;
  {
    absl::MutexLock lock(&mutex_);
    done = std::exchange(probe_, nullptr);
  }
  if (done) done(status, round_trip, cost);
}

}  // namespace viaduct
