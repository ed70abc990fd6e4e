#include "plugins/rest/answer_slots.h"

#include <utility>

namespace viaduct::rest {

AnswerSlots::AnswerSlots(size_t count) {
  for (size_t i = 0; i < count; ++i) {
    slots_.push_back(std::make_unique<Slot>());
    free_.push_back(count + i);  // Any number whose remainder is i, but 0.
  }
}

std::optional<uint64_t> AnswerSlots::Open() {
  uint64_t token = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (closed_ || free_.empty()) return std::nullopt;
    token = free_.back();
    free_.pop_back();
  }
  Slot& slot = SlotOf(token);
  absl::MutexLock lock(&slot.mutex);
  slot.token = token;
  slot.answered = false;
  return token;
}

std::optional<HttpReply> AnswerSlots::Wait(uint64_t token, absl::Duration timeout) {
  std::optional<HttpReply> reply;
  Slot& slot = SlotOf(token);
  {
    absl::MutexLock lock(&slot.mutex);
    const auto ended = [&slot]() ABSL_SHARED_LOCKS_REQUIRED(slot.mutex) {
      return slot.answered || slot.token == 0;
    };
    slot.mutex.AwaitWithTimeout(absl::Condition(&ended), timeout);
    if (slot.answered) reply = std::move(slot.reply);
  }
  Abandon(token);
  return reply;
}

void AnswerSlots::Abandon(uint64_t token) {
  {
    Slot& slot = SlotOf(token);
    absl::MutexLock lock(&slot.mutex);
    slot.token = 0;
    slot.reply = HttpReply();
  }
  absl::MutexLock lock(&mutex_);
  free_.push_back(token + slots_.size());
}

void AnswerSlots::Answer(uint64_t token, HttpReply reply) {
  Slot& slot = SlotOf(token);
  absl::MutexLock lock(&slot.mutex);
  if (slot.token != token || slot.answered) return;
  slot.reply = std::move(reply);
  slot.answered = true;
}

void AnswerSlots::Close() {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }
  for (const auto& slot : slots_) {
    absl::MutexLock lock(&slot->mutex);
    slot->token = 0;
  }
}

}  // namespace viaduct::rest
