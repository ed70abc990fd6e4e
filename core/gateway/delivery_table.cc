#include "core/gateway/delivery_table.h"

namespace viaduct {
namespace {

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

uint64_t DeliveryTable::Add(const Delivery& delivery) {
  const uint32_t index = free_.back();
  free_.pop_back();
  Slot& slot = slots_[index];
  if (++slot.generation == 0) slot.generation = 1;  // Token 0 is nobody's.
  slot.state = State::kActive;
  slot.delivery = delivery;
  slot.older = newest_;
  slot.newer = kNoSlot;
  (newest_ == kNoSlot ? oldest_ : slots_[newest_].newer) = index;
  newest_ = index;
  ++active_;
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
  if (Lookup(token) != nullptr) Free(IndexOf(token));
}

DeliveryTable::Found DeliveryTable::Finish(uint64_t token, Delivery* delivery) {
  const Slot* slot = Lookup(token);
  if (slot == nullptr) return Found::kUnknown;
  const bool active = slot->state == State::kActive;
  *delivery = slot->delivery;
  Free(IndexOf(token));
  return active ? Found::kActive : Found::kLate;
}

int64_t DeliveryTable::OldestSentNs() const {
  return oldest_ == kNoSlot ? -1 : slots_[oldest_].delivery.sent_ns;
}

bool DeliveryTable::AbandonOldest(int64_t sent_before_ns, Delivery* delivery) {
  if (oldest_ == kNoSlot) return false;
  const uint32_t oldest = oldest_;
  Slot& slot = slots_[oldest];
  if (slot.delivery.sent_ns >= sent_before_ns) return false;
  *delivery = slot.delivery;
  Unlink(&slot);
  abandoned_order_.emplace_back(slot.delivery.sent_ns, TokenOf(oldest, slot.generation));
  slot.state = State::kAbandoned;
  ++abandoned_;
  return true;
}

void DeliveryTable::Reclaim(int64_t sent_before_ns) {
  while (!abandoned_order_.empty() && abandoned_order_.front().first < sent_before_ns) {
    const uint64_t token = abandoned_order_.front().second;
    abandoned_order_.pop_front();
    if (Lookup(token) != nullptr) Free(IndexOf(token));
  }
}

int64_t DeliveryTable::OldestAbandonedNs() const {
  return abandoned_order_.empty() ? -1 : abandoned_order_.front().first;
}

bool DeliveryTable::TakeAny(Delivery* delivery) {
  if (oldest_ == kNoSlot) return false;
  *delivery = slots_[oldest_].delivery;
  Free(oldest_);
  return true;
}

}  // namespace viaduct
