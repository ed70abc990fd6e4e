#include "plugins/hailo_lpr/outbox.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace viaduct::hailo_lpr {

bool Outbox::HasRoom() const {
  return stopped_ || letters_.empty() || (letters_.size() < kMostEvents && bytes_ < kMostBytes);
}

bool Outbox::IsEmpty() const { return stopped_ || letters_.empty(); }

void Outbox::Add(std::string json, std::function<void(const absl::Status&)> ended) {
  Letter letter;
  letter.json = std::make_shared<const std::string>(std::move(json));
  letter.ended = std::move(ended);
  if (!Take(&letter)) {
    return End(letter, EventOutcome::kLost, absl::CancelledError("the instance stops"));
  }
  Pump();
}

// False: it stops, and `letter` is as it was.
bool Outbox::Take(Letter* letter) {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &Outbox::HasRoom));
  if (stopped_) return false;
  bytes_ += letter->json->size();
  letters_.emplace(++last_token_, std::move(*letter));
  return true;
}

// The first that waits and is due. It is under way then.
bool Outbox::NextDue(uint64_t* token, std::shared_ptr<const std::string>* json) {
  absl::MutexLock lock(&mutex_);
  if (full_ || stopped_) return false;
  const absl::Time now = hooks_.now();
  for (auto& [number, letter] : letters_) {
    if (letter.under_way || letter.due > now) continue;
    letter.under_way = true;
    *token = number;
    *json = letter.json;
    return true;
  }
  return false;
}

void Outbox::PutBack(uint64_t token) {
  absl::MutexLock lock(&mutex_);
  full_ = true;
  const auto found = letters_.find(token);
  if (found != letters_.end()) found->second.under_way = false;
}

void Outbox::Pump() {
  uint64_t token = 0;
  std::shared_ptr<const std::string> json;
  while (NextDue(&token, &json)) {
    if (hooks_.submit(token, *json)) continue;
    PutBack(token);
    // OnRoom may have come before it was put back.
    return hooks_.wake_after(kFirstRetry);
  }
}

void Outbox::OnRoom() {
  {
    absl::MutexLock lock(&mutex_);
    full_ = false;
  }
  Pump();
}

Outbox::Letter Outbox::Take(std::map<uint64_t, Letter>::iterator at) {
  Letter letter = std::move(at->second);
  bytes_ -= letter.json->size();
  letters_.erase(at);
  return letter;
}

void Outbox::End(const Letter& letter, EventOutcome outcome, const absl::Status& status) const {
  hooks_.on_end(outcome, status);
  if (letter.ended) letter.ended(status);
}

void Outbox::OnDone(uint64_t token, EventOutcome outcome, const absl::Status& status,
                    absl::Duration retry_after) {
  Letter letter;
  absl::Duration pause;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = letters_.find(token);
    if (found == letters_.end()) return;
    if (outcome == EventOutcome::kRetry) {
      Letter& again = found->second;
      pause = std::max(again.pause, retry_after);
      again.pause = std::min(2 * again.pause, kLongestRetry);
      again.due = hooks_.now() + pause;
      again.under_way = false;
    } else {
      letter = Take(found);
    }
  }
  if (outcome != EventOutcome::kRetry) return End(letter, outcome, status);
  hooks_.on_end(outcome, status);
  hooks_.wake_after(pause);
}

bool Outbox::Drain(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(this, &Outbox::IsEmpty), timeout);
}

void Outbox::Stop() {
  std::map<uint64_t, Letter> left;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    left.swap(letters_);
    bytes_ = 0;
  }
  for (const auto& [token, letter] : left) {
    End(letter, EventOutcome::kLost, absl::CancelledError("the instance stops"));
  }
}

size_t Outbox::size() const {
  absl::MutexLock lock(&mutex_);
  return letters_.size();
}

}  // namespace viaduct::hailo_lpr
