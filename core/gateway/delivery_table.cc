#include "core/gateway/delivery_table.h"

#include <algorithm>

namespace viaduct {
namespace {

constexpr int64_t kReclaimTimes = 10;

constexpr uint64_t TokenOf(uint32_t index, uint32_t generation) {
  return uint64_t{generation} << 32 | index;
}
constexpr uint32_t IndexOf(uint64_t token) { return static_cast<uint32_t>(token); }
constexpr uint32_t GenerationOf(uint64_t token) { return static_cast<uint32_t>(token >> 32); }

}  // namespace

DeliveryTable::DeliveryTable(size_t capacity) : slots_(capacity) {
  free_.reserve(capacity);
  for (size_t i = capacity; i-- > 0;) free_.push_back(static_cast<uint32_t>(i));
}

uint64_t DeliveryTable::Add(Delivery delivery) {
  if (newest_ != kNoSlot) {
    delivery.deadline_ns = std::max(delivery.deadline_ns, slots_[newest_].delivery.deadline_ns);
  }
  const uint32_t index = free_.back();
  free_.pop_back();
  Slot& slot = slots_[index];
  if (++slot.generation == 0) slot.generation = 1;  // Token 0 is nobody's.
  slot.state = State::kActive;
  added_bytes_ += delivery.bytes;
  delivery.end = added_bytes_;
  slot.delivery = delivery;
  slot.older = newest_;
  slot.newer = kNoSlot;
  (newest_ == kNoSlot ? oldest_ : slots_[newest_].newer) = index;
  newest_ = index;
  ++active_;
  active_bytes_ += delivery.bytes;
  active_backlog_ += delivery.backlog ? 1 : 0;
  return TokenOf(index, slot.generation);
}

DeliveryTable::Slot* DeliveryTable::Lookup(uint64_t token) {
  if (IndexOf(token) >= slots_.size()) return nullptr;
  Slot& slot = slots_[IndexOf(token)];
  const bool same = slot.state != State::kFree && slot.generation == GenerationOf(token);
  return same ? &slot : nullptr;
}

void DeliveryTable::Unlink(Slot* slot) {
  (slot->older == kNoSlot ? oldest_ : slots_[slot->older].newer) = slot->newer;
  (slot->newer == kNoSlot ? newest_ : slots_[slot->newer].older) = slot->older;
  --active_;
  active_bytes_ -= slot->delivery.bytes;
  active_backlog_ -= slot->delivery.backlog ? 1 : 0;
  active_hedged_ -= slot->delivery.hedged ? 1 : 0;
}

void DeliveryTable::Free(uint32_t index) {
  Slot& slot = slots_[index];
  if (slot.state == State::kActive) {
    Unlink(&slot);
  } else {
    --abandoned_;
  }
  slot.state = State::kFree;
  free_.push_back(index);
}

void DeliveryTable::TakeBack(uint64_t token) {
  const Slot* slot = Lookup(token);
  if (slot == nullptr) return;
  added_bytes_ -= slot->delivery.bytes;
  Free(IndexOf(token));
}

DeliveryTable::Found DeliveryTable::Finish(uint64_t token, Delivery* delivery) {
  const Slot* slot = Lookup(token);
  if (slot == nullptr) return Found::kUnknown;
  const bool active = slot->state == State::kActive;
  *delivery = slot->delivery;
  answered_end_ = std::max(answered_end_, delivery->end);
  Free(IndexOf(token));
  return active ? Found::kActive : Found::kLate;
}

int64_t DeliveryTable::NextDeadlineNs() const {
  return oldest_ == kNoSlot ? -1 : slots_[oldest_].delivery.deadline_ns;
}

const Delivery* DeliveryTable::Oldest() const {
  return oldest_ == kNoSlot ? nullptr : &slots_[oldest_].delivery;
}

void DeliveryTable::LookAtOldest(size_t most,
                                 absl::FunctionRef<bool(uint64_t, const Delivery&)> look) const {
  for (uint32_t index = oldest_; index != kNoSlot && most > 0;
       index = slots_[index].newer, --most) {
    const Slot& slot = slots_[index];
    if (!look(TokenOf(index, slot.generation), slot.delivery)) return;
  }
}

void DeliveryTable::Hedge(uint64_t token) {
  Slot* slot = Lookup(token);
  if (slot == nullptr || slot->state != State::kActive || slot->delivery.hedged) return;
  slot->delivery.hedged = true;
  ++active_hedged_;
}

bool DeliveryTable::Unhedge(uint64_t token, uint64_t tried) {
  Slot* slot = Lookup(token);
  if (slot == nullptr || slot->state != State::kActive) return false;
  active_hedged_ -= slot->delivery.hedged ? 1 : 0;
  slot->delivery.hedged = false;
  slot->delivery.tried = tried;
  return true;
}

uint64_t DeliveryTable::BytesToOldest() const {
  const Delivery* oldest = Oldest();
  return oldest == nullptr ? 0 : oldest->end - std::min(oldest->end, answered_end_);
}

bool DeliveryTable::AbandonDue(int64_t now_ns, Delivery* delivery) {
  if (oldest_ == kNoSlot || slots_[oldest_].delivery.deadline_ns > now_ns) return false;
  AbandonOldest(delivery);
  return true;
}

void DeliveryTable::AbandonOldest(Delivery* delivery) {
  const uint32_t index = oldest_;
  Slot& slot = slots_[index];
  *delivery = slot.delivery;
  Unlink(&slot);
  const int64_t time_ns = slot.delivery.deadline_ns - slot.delivery.sent_ns;
  const int64_t reclaim_ns = slot.delivery.sent_ns + kReclaimTimes * time_ns;
  const int64_t last_ns = abandoned_order_.empty() ? 0 : abandoned_order_.back().first;
  abandoned_order_.emplace_back(std::max(reclaim_ns, last_ns), TokenOf(index, slot.generation));
  slot.state = State::kAbandoned;
  ++abandoned_;
}

void DeliveryTable::Reclaim(int64_t now_ns) {
  while (!abandoned_order_.empty() && abandoned_order_.front().first <= now_ns) {
    const uint64_t token = abandoned_order_.front().second;
    abandoned_order_.pop_front();
    const Slot* slot = Lookup(token);
    if (slot == nullptr) continue;  // It was answered late.
    added_bytes_ -= slot->delivery.bytes;
    Free(IndexOf(token));
  }
}

int64_t DeliveryTable::NextReclaimNs() const {
  return abandoned_order_.empty() ? -1 : abandoned_order_.front().first;
}

void DeliveryTable::ForgetTried(uint64_t links) {
  for (Slot& slot : slots_) slot.delivery.tried &= ~links;
}

bool DeliveryTable::TakeAny(Delivery* delivery) {
  if (oldest_ == kNoSlot) return false;
  *delivery = slots_[oldest_].delivery;
  Free(oldest_);
  return true;
}

}  // namespace viaduct
