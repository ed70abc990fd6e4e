#include "core/plugin/deliver_side.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "core/plugin/abi_values.h"
#include "core/plugin/incarnation.h"
#include "core/plugin/link.h"

namespace viaduct {
namespace {

// The ABI counts from one in the order of ours.
constexpr uint32_t DataTypeOf(DataType type) {
  return static_cast<uint32_t>(type) + VD_DATA_DETECTION;
}
static_assert(DataTypeOf(DataType::kDetection) == VD_DATA_DETECTION);
static_assert(DataTypeOf(DataType::kHealth) == VD_DATA_HEALTH);
static_assert(DataTypeOf(DataType::kConfig) == VD_DATA_CONFIG);
static_assert(DataTypeOf(DataType::kControl) == VD_DATA_CONTROL);

constexpr uint32_t PriorityOf(Priority priority) {
  return static_cast<uint32_t>(priority) + VD_PRIORITY_HIGH;
}
static_assert(PriorityOf(Priority::kHigh) == VD_PRIORITY_HIGH);
static_assert(PriorityOf(Priority::kNormal) == VD_PRIORITY_NORMAL);
static_assert(PriorityOf(Priority::kLow) == VD_PRIORITY_LOW);

constexpr vd_attr kBacklog[] = {{{VD_ATTR_BACKLOG, sizeof(VD_ATTR_BACKLOG) - 1}, {"1", 1}}};

uint64_t TokenOf(uint32_t slot, uint32_t use) { return (uint64_t{use} << 32) | slot; }

void Fill(const OutboundMessage& from, uint64_t token, vd_message* to) {
  to->data_type = from.event.empty() ? DataTypeOf(from.data_type) : VD_DATA_NONE;
  to->token = token;
  to->message_id = ToAbi(from.message_id);
  to->device_id = ToAbi(from.edge_device_id);
  to->envelope = ToAbi(from.envelope_json);
  to->payload = ToAbi(from.payload_json);
  to->event = ToAbi(from.event);
  to->route = ToAbi(from.route);
  to->timestamp_ns = from.timestamp_ns;
  to->deadline_ns = from.deadline_monotonic_ns;
  to->priority = PriorityOf(from.priority);
  to->attempt = from.attempt;
  to->attributes = from.backlog ? kBacklog : nullptr;
  to->attribute_count = from.backlog ? std::size(kBacklog) : 0;
}

}  // namespace

DeliverSide::DeliverSide(Incarnation* owner, std::shared_ptr<LinkHandlers> handlers)
    : owner_(owner),
      handlers_(std::move(handlers)),
      scratch_(owner->lane_count()),
      early_(owner->lane_count()) {}

size_t DeliverSide::in_flight() const {
  absl::MutexLock lock(&mutex_);
  return in_flight_;
}

size_t DeliverSide::Credit() {
  const vd_deliver_1* const table = owner_->tables().deliver;
  if (table == nullptr || !owner_->delivering()) return 0;
  const size_t room = owner_->limits().max_in_flight - in_flight();
  // Inside a plugin's call nobody may be asked: Deliver will say.
  if (CallScope::active()) return room;
  size_t credit = 0;
  owner_->Enter("credit", [&] {
    for (uint32_t lane = 0; lane < owner_->lane_count(); ++lane) {
      credit += table->credit(owner_->instance(), lane);
    }
  });
  return std::min(credit, room);
}

size_t DeliverSide::Deliver(absl::Span<const OutboundMessage> batch) {
  if (batch.empty() || owner_->tables().deliver == nullptr) return 0;
  if (CallScope::active()) {
    TellReadySoon();
    return 0;
  }
  GatePass pass(&owner_->gate());
  if (!pass || !owner_->delivering()) return 0;
  batch = batch.subspan(0, kMaxBatch);
  const uint32_t lanes = owner_->lane_count();
  const uint32_t first = next_lane_.fetch_add(1, std::memory_order_relaxed);
  Completions early;
  size_t taken = 0;
  for (uint32_t i = 0; i < lanes && taken == 0; ++i) {
    const uint32_t lane = (first + i) % lanes;
    if (!owner_->lane(lane).TryEnter()) continue;  // It tells when it is idle.
    taken = Offer(batch, lane, &early);
    owner_->lane(lane).Exit();
  }
  if (!early.empty()) Finish(early);
  return taken;
}

size_t DeliverSide::Offer(absl::Span<const OutboundMessage> batch, uint32_t lane,
                          Completions* early) {
  LaneScratch& scratch = scratch_[lane];
  const size_t count = Reserve(batch, lane);
  if (count == 0) return 0;
  uint64_t taken = Call(lane, scratch, count);
  if (taken > count) {
    owner_->CountRefused();
    taken = count;
  }
  taken = Settle(lane, count, taken, early);
  Counters::Add(&owner_->counters().delivered, taken);
  uint64_t bytes = 0;
  for (size_t i = 0; i < taken; ++i) bytes += batch[i].envelope_json.size();
  Counters::Add(&owner_->counters().delivered_bytes, bytes);
  return taken;
}

size_t DeliverSide::Reserve(absl::Span<const OutboundMessage> batch, uint32_t lane) {
  LaneScratch* const scratch = &scratch_[lane];
  if (scratch->messages.size() < batch.size()) {
    vd_message blank{};
    blank.struct_size = sizeof(blank);
    scratch->messages.resize(batch.size(), blank);
    scratch->slots.resize(batch.size());
  }
  size_t count = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (closed_) return 0;
    count = std::min(batch.size(), owner_->limits().max_in_flight - in_flight_);
    in_flight_ += count;
    offered_ += count;
    for (size_t i = 0; i < count; ++i) {
      if (free_.empty()) {
        free_.push_back(static_cast<uint32_t>(slots_.size()));
        slots_.emplace_back();
      }
      const uint32_t index = free_.back();
      free_.pop_back();
      Slot& slot = slots_[index];
      slot.host_token = batch[i].token;
      slot.state = Slot::State::kOffered;
      slot.lane = static_cast<uint16_t>(lane);
      slot.position = static_cast<uint16_t>(i);
      scratch->slots[i] = index;
      scratch->messages[i].token = TokenOf(index, ++slot.use);
    }
    early_[lane].completions.reserve(count);
  }
  for (size_t i = 0; i < count; ++i) {
    Fill(batch[i], scratch->messages[i].token, &scratch->messages[i]);
  }
  return count;
}

uint64_t DeliverSide::Call(uint32_t lane, const LaneScratch& scratch, size_t count) {
  const vd_message_list list{scratch.messages.data(), sizeof(vd_message), count};
  uint64_t taken = 0;
  int32_t code = VD_INTERNAL;
  const bool returned = owner_->Watched("deliver", [&] {
    code = owner_->tables().deliver->deliver(owner_->instance(), lane, &list, &taken);
  });
  return returned && code == VD_OK ? taken : 0;
}

// What was not taken is the host's again; completions that overtook the return of deliver count
// now, and only for what was taken. Returns how many the plugin holds or has ended.
size_t DeliverSide::Settle(uint32_t lane, size_t count, size_t taken, Completions* early) {
  const LaneScratch& scratch = scratch_[lane];
  absl::MutexLock lock(&mutex_);
  if (closed_) return 0;  // Given up meanwhile: whatever the plugin did, the host tries again.
  offered_ -= count;
  for (size_t i = 0; i < count; ++i) {
    Slot& slot = slots_[scratch.slots[i]];
    if (slot.state == Slot::State::kOffered && i < taken) {
      slot.state = Slot::State::kHeld;
    } else {
      FreeLocked(scratch.slots[i]);
    }
  }
  Early& mine = early_[lane];
  if (mine.completions.empty()) return taken;
  const size_t all = mine.completions.size();
  if (taken < count) FilterEarly(taken, &mine);
  Counters::Add(&owner_->counters().unknown_tokens, all - mine.completions.size());
  early->swap(mine.completions);
  mine.positions.clear();
  return taken;
}

void DeliverSide::FilterEarly(size_t taken, Early* early) {
  size_t kept = 0;
  for (size_t i = 0; i < early->positions.size(); ++i) {
    if (early->positions[i] >= taken) continue;
    if (kept != i) early->completions[kept] = std::move(early->completions[i]);
    ++kept;
  }
  early->completions.resize(kept);
}

void DeliverSide::FreeLocked(uint32_t index) {
  slots_[index].state = Slot::State::kFree;
  free_.push_back(index);
  --in_flight_;
}

void DeliverSide::Complete(const vd_completion_list* list) {
  if (list == nullptr ||
      !IsWalkable(list->items, list->stride, list->count, owner_->limits().max_in_flight)) {
    owner_->CountRefused();
    return;
  }
  Completions done;
  uint64_t unknown = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (in_flight_ > offered_) done.reserve(std::min<size_t>(list->count, in_flight_));
    for (uint64_t i = 0; i < list->count; ++i) {
      const vd_completion* const item = At(list->items, list->stride, i);
      vd_completion copy;
      const bool whole = item->struct_size >= sizeof(copy);
      const bool readable = whole || ReadStruct(item, &copy);
      if (!readable || !TakeLocked(whole ? *item : copy, &done)) ++unknown;
    }
  }
  Counters::Add(&owner_->counters().unknown_tokens, unknown);
  Finish(done);
}

bool DeliverSide::TakeLocked(const vd_completion& theirs, Completions* done) {
  const uint32_t index = static_cast<uint32_t>(theirs.token);
  if (index >= slots_.size()) return false;
  Slot& slot = slots_[index];
  if (slot.use != theirs.token >> 32) return false;
  Completions* into = done;
  if (slot.state == Slot::State::kHeld) {
    FreeLocked(index);
  } else if (slot.state == Slot::State::kOffered) {
    slot.state = Slot::State::kEarly;
    Early& early = early_[slot.lane];
    early.positions.push_back(slot.position);
    into = &early.completions;
  } else {
    return false;
  }
  Completion& completion = into->emplace_back();
  completion.token = slot.host_token;
  if (!ReadOutcome(theirs.outcome, &completion.outcome)) owner_->CountRefused();
  if (completion.outcome != Outcome::kDurable) {
    completion.status =
        StatusOf(theirs.code == VD_OK ? VD_UNKNOWN : theirs.code, ShortText(theirs.detail));
    completion.retry_after = ReadDelay(theirs.retry_after_ns);
  }
  return true;
}

void DeliverSide::Finish(const Completions& done) {
  uint64_t outcomes[5] = {};
  for (const Completion& completion : done) ++outcomes[static_cast<size_t>(completion.outcome)];
  for (size_t i = 0; i < 5; ++i) Counters::Add(&owner_->counters().outcomes[i], outcomes[i]);
  handlers_->Complete(done);
}

void DeliverSide::CancelAll() {
  Completions done;
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(closed_, true)) return;
    for (const Slot& slot : slots_) {
      // An offered message is not the plugin's yet: its Deliver will say that it was not taken.
      if (slot.state != Slot::State::kHeld) continue;
      done.push_back({slot.host_token, Outcome::kCancelled,
                      absl::CancelledError("the instance stopped"), absl::ZeroDuration()});
    }
    slots_ = {};
    free_ = {};
    for (Early& early : early_) early = {};
    in_flight_ = 0;
  }
  Finish(done);
}

void DeliverSide::TellReadySoon() {
  owner_->workers().Submit([handlers = handlers_] { handlers->Ready(); });
}

void DeliverSide::OnComplete(const vd_host* host, const vd_completion_list* completions) {
  HostEntry entry(host);
  if (!entry) return;
  if (!entry->answering()) return entry->CountRefused();
  entry->deliver_side().Complete(completions);
}

void DeliverSide::OnRoom(const vd_host* host, uint32_t lane) {
  HostEntry entry(host);
  if (!entry) return;
  if (!entry->accepting() || lane >= entry->lane_count()) return entry->CountRefused();
  entry->deliver_side().handlers_->Ready();
}

const vd_host_deliver_1* DeliverSide::Table() {
  static constexpr vd_host_deliver_1 kTable = {&OnComplete, &OnRoom};
  return &kTable;
}

}  // namespace viaduct
