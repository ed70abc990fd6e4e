// Which messages go, and over which link: the half of DispatchCore that looks at the links, claims,
// lets the selector choose and delivers.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/gateway/dispatch_core.h"

namespace viaduct {
namespace {

constexpr int kConfirmTimes = 2;  // The time of a delivery in those of the link itself.
constexpr int64_t kNanosPerSecond = 1'000'000'000;
// Of what goes, so much is of the backlog, also when there is more than enough of what is live.
constexpr double kBacklogShare = 0.1;
// Of what a link can have under way, so much may be of the backlog.
constexpr size_t kBacklogQuarters = 3;
// And so much of what may be under way of it goes at once, so that each end works for many messages
// at a time and not for the few that were confirmed just now (RFC 1122, 4.2.3.4): a bit less than
// half, so that the peer has one part while the other is made or confirmed.
constexpr double kWorthSending = 0.4;
constexpr double kMeanStep = 0.02;

int64_t Nanos(absl::Duration d) { return absl::ToInt64Nanoseconds(d); }

}  // namespace

// Returns what the links would take together, of the backlog as far as the selector lets it.
DispatchCore::Room DispatchCore::UpdateViews(int64_t now) {
  views_.resize(links_.size());
  Room total;
  looked_ns_ = now;
  for (size_t i = 0; i < links_.size(); ++i) {
    LinkState& state = *links_[i];
    if (state.blocked && state.blocked_until_ns <= now) state.blocked = false;
    const BreakerState breaker = state.breaker.state(now);
    state.counters->breaker.store(breaker, std::memory_order_relaxed);
    if (now - state.timed_ns >= kNanosPerSecond) {
      if (state.timed_ns != 0)
        state.model.OnTime(static_cast<double>(now - state.timed_ns) / kNanosPerSecond);
      state.timed_ns = now;
    }
    const size_t credit = state.link->ready() ? state.link->credit() : 0;
    NoteCredit(&state, credit, now);
    NoteRoad(&state, now);
    LinkView& view = views_[i];
    Describe(state, now, &view);
    view.ready = Works(state, now);
    state.timeout_ns = std::max(Nanos(options_.delivery_timeout),
                                Nanos(state.link->confirm_timeout() * kConfirmTimes));
    // It may come back over another road.
    if (!view.ready) state.backlog = BacklogWindow();
    if (!view.ready) continue;
    view.room = RoomOf(state, credit, now);
    state.promised = 0;
    view.backlog_room = BacklogRoom(state, view.room, now);
    total.messages += view.room;
  }
  total.backlog = selector_->RoomForBacklog(views_);
  return total;
}

bool DispatchCore::Works(const LinkState& state, int64_t now) {
  return state.connected && state.link->ready() && state.breaker.state(now) != BreakerState::kOpen;
}

size_t DispatchCore::RoomOf(const LinkState& state, size_t credit, int64_t now) {
  if (state.blocked || !Works(state, now)) return 0;
  const size_t room = std::min(credit, state.table.room());
  if (state.breaker.state(now) != BreakerState::kHalfOpen) return room;
  return state.table.active() == 0 ? std::min<size_t>(room, 1) : 0;
}

uint64_t DispatchCore::ByPosition(uint64_t tried) const {
  uint64_t out = 0;
  for (size_t i = 0; tried != 0 && i < links_.size(); ++i) {
    if ((tried & links_[i]->bit) != 0) out |= uint64_t{1} << i;
  }
  return out;
}

// What is told of the road, also while nothing is to be sent.
void DispatchCore::NoteRoad(LinkState* state, int64_t now) {
  const bool connected = state->connected && state->link->ready();
  const bool ready = connected && !state->unanswered;
  LinkCounters& counters = *state->counters;
  counters.connected.store(connected, std::memory_order_relaxed);
  counters.ready.store(ready, std::memory_order_relaxed);
  counters.meter.NoteReady(ready && state->breaker.state(now) != BreakerState::kOpen, now);
}

void DispatchCore::NoteCredit(LinkState* state, size_t credit, int64_t now) {
  const bool was_connected = state->connected;
  if (!state->link->ready()) {
    state->connected = false;
    state->refuses_ns = 0;
  } else if (credit > 0 || state->table.active() > 0) {
    state->connected = state->connected || credit > 0;
    state->refuses_ns = 0;
  } else if (state->connected) {
    if (state->refuses_ns == 0) state->refuses_ns = now;
    state->connected = now - state->refuses_ns < kUnconnectedNs;
  }
  if (state->connected == was_connected) return;
  if (state->connected) in_vain_ns_.fill(0);  // For whom it may be the road.
  log_->Info("gateway", state->connected ? "link is connected" : "link has no connection",
             {{"link", state->link->name()}});
}

// As much as leaves the link to what is live, where that is worth it, and one at least, so that it
// goes on.
size_t DispatchCore::BacklogRoom(const LinkState& state, size_t room, int64_t now) const {
  const size_t capacity = room + state.table.active();
  const size_t most = std::max<size_t>(capacity / 4 * kBacklogQuarters, 1);
  const size_t active = state.table.active_backlog();
  if (room == 0 || active >= most) return 0;
  const uint64_t window = state.backlog.bytes(now);
  const auto messages = [&](uint64_t bytes) {
    return static_cast<size_t>(static_cast<double>(bytes) / state.mean_bytes);
  };
  const uint64_t under_way = state.table.active_bytes();
  const size_t fits = messages(window - std::min(window, under_way));
  const bool idle = window == 0 ? state.table.active() == 0 : active == 0;
  if (idle) return std::min({room, most, std::max<size_t>(fits, 1)});
  const size_t size = std::min({room, most - active, fits});
  const size_t whole = std::min({options_.batch, most, messages(window)});
  return static_cast<double>(size) < kWorthSending * static_cast<double>(whole) ? 0 : size;
}

void DispatchCore::Describe(const LinkState& state, int64_t now, LinkView* view) const {
  view->name = state.link->name();
  view->plugin = state.traits.plugin;
  view->metered = state.traits.metered;
  view->cost_per_mb = state.traits.cost_per_mb;
  view->model = &state.model;
  const LinkReading reading = state.counters->meter.Read(now);
  view->quality = reading.quality;
  view->score = reading.score;
  view->measured_ns = reading.measured_ns;
  view->in_flight = state.table.active();
  view->in_flight_bytes = state.table.active_bytes();
  view->room = 0;
  view->backlog_room = 0;
  const int64_t since = SilentSinceNs(state);
  view->silent_ns = since == kNever ? 0 : std::max<int64_t>(now - since, 0);
  view->returning = state.breaker.state(now) == BreakerState::kHalfOpen;
}

Explanation DispatchCore::Explain(SelectorMessage message) {
  message.now_ns = clock_->MonotonicNanos();
  UpdateViews(message.now_ns);
  return selector_->Explain(message, views_);
}

std::vector<LinkSwitch> DispatchCore::TakeSwitches() {
  std::vector<LinkSwitch> out;
  std::swap(out, switches_);
  return out;
}

void DispatchCore::NoteChoice(const SelectorMessage& facts, const Choice& choice) {
  if (choice.momentary) return;
  const LinkView& now = views_[static_cast<size_t>(choice.link)];
  std::string& chosen = chosen_[MessageKind(facts)];
  if (chosen == now.name) return;
  LinkSwitch change;
  change.from = chosen;
  change.to = std::string(now.name);
  change.priority = facts.priority;
  change.bytes = facts.bytes;
  const auto old = std::find_if(views_.begin(), views_.end(),
                                [&](const LinkView& view) { return view.name == chosen; });
  if (chosen.empty()) {
    change.why = "the first choice";
  } else if (old == views_.end()) {
    change.reason = SwitchReason::kGone;
    change.why = absl::StrCat(chosen, " is gone");
  } else {
    change.reason = old->ready ? SwitchReason::kNotBest : SwitchReason::kNotReady;
    change.why = absl::StrCat(chosen, old->ready ? " is no longer the best" : " is not ready");
  }
  change.at = clock_->Now();
  LinkCounters& counters = *links_[static_cast<size_t>(choice.link)]->counters;
  Count(&counters.switched_to[static_cast<size_t>(change.reason)]);
  chosen = change.to;
  if (switches_.size() >= kMaxSwitches) switches_.erase(switches_.begin());
  switches_.push_back(std::move(change));
}

// What finds no link is put off: others, for links that have room, may be behind it. Once some was
// claimed in vain, what was put off before has to let pass what was not looked at yet: else many
// that come back for a road that is down would hide all that is behind them.
bool DispatchCore::PumpAll(int64_t now) {
  bool fresh = true;  // There may be such.
  bool put_off = true;
  int in_vain = 0;
  while (in_vain < kMostInVain) {
    const Pumped pumped = Pump(put_off, now);
    if (pumped == Pumped::kNothing) {
      if (put_off) return false;
      fresh = false;
      put_off = true;
    } else if (pumped == Pumped::kInVain) {
      ++in_vain;
      put_off = !fresh;
    } else {
      in_vain = 0;
    }
  }
  return fresh;
}

// Claims what the links would take and offers it.
DispatchCore::Pumped DispatchCore::Pump(bool put_off, int64_t now) {
  const Room room = UpdateViews(now);
  if (room.messages == 0) return Pumped::kNothing;
  ClaimSome(room, put_off, now);
  size_t assigned = 0;
  for (size_t i = 0; i < claimed_.size(); ++i) assigned += Assign(i, now) ? 1 : 0;
  for (size_t i = 0; i < links_.size(); ++i) DeliverBatch(i, now);
  FlushSettlements();
  if (assigned > 0) return Pumped::kSome;
  return claimed_.empty() ? Pumped::kNothing : Pumped::kInVain;
}

// Out of the way of others, the longer the longer messages like it have found no link.
void DispatchCore::PutOff(int64_t key, size_t kind, int64_t now) {
  int64_t& since = in_vain_ns_[kind];
  if (since == 0) since = now;
  Settle(key, SettleKind::kRelease, std::clamp(now - since, kBlockedNs, kMostBlockedNs));
}

// What is live comes first, but its share is kept for the backlog.
void DispatchCore::ClaimSome(const Room& room, bool put_off, int64_t now) {
  claimed_.clear();
  ClaimLimits limits;
  limits.put_off = put_off;
  limits.messages = std::min(room.messages, options_.batch * links_.size());
  limits.bytes = options_.max_claim_bytes;
  limits.backlog = std::min(room.backlog, backlog_pace_.Available(now));
  backlog_share_ = std::min(backlog_share_ + kBacklogShare * static_cast<double>(limits.messages),
                            static_cast<double>(options_.batch));
  const size_t kept =
      std::min({static_cast<size_t>(backlog_share_), limits.backlog, limits.messages});
  limits.live = limits.messages - kept;
  const size_t got = outbox_->Claim(limits, &claimed_);
  const auto backlog = static_cast<size_t>(
      std::count_if(claimed_.begin(), claimed_.end(),
                    [](const OutboxMessage& message) { return message.backlog; }));
  if (backlog < kept) {  // There is no more of it.
    backlog_share_ = 0;
    limits.messages -= got;
    limits.backlog = 0;
    limits.live = limits.messages;
    outbox_->Claim(limits, &claimed_);
  } else {
    backlog_share_ = std::max(0.0, backlog_share_ - static_cast<double>(backlog));
  }
}

OutboundMessage DispatchCore::Outbound(const OutboxMessage& message) const {
  OutboundMessage out;
  out.message_id = message.message_id;
  out.edge_device_id = message.edge_device_id;
  out.envelope_json = message.envelope_json;
  out.payload_json = PayloadOf(message.envelope_json);
  out.data_type = message.data_type;
  out.priority = message.priority;
  out.attempt = message.attempts + 1;
  out.timestamp_ns = message.captured_ns;
  out.deadline_monotonic_ns = message.deadline_monotonic_ns;
  out.backlog = message.backlog;
  return out;
}

// False: no link takes it now.
bool DispatchCore::Assign(size_t index, int64_t now) {
  const OutboxMessage& message = claimed_[index];
  SelectorMessage facts;
  facts.bytes = message.envelope_json.size();
  facts.data_type = message.data_type;
  facts.priority = message.priority;
  facts.backlog = message.backlog;
  facts.attempts = message.attempts;
  facts.now_ns = now;
  uint64_t tried = 0;
  if (message.attempts > 0) {
    const auto found = tried_.find(message.key);
    if (found != tried_.end()) tried = found->second;
  }
  if (WasConfirmedMeanwhile(message.key)) return true;
  const uint64_t without = NotForSecond(message.key);
  facts.tried = ByPosition(tried | without);
  const Choice choice = selector_->Pick(facts, views_);
  if (choice.link < 0 || static_cast<size_t>(choice.link) >= views_.size() ||
      !HasRoom(facts, views_[static_cast<size_t>(choice.link)]) ||
      (links_[static_cast<size_t>(choice.link)]->bit & without) != 0) {
    PutOff(message.key, MessageKind(facts), now);
    return false;
  }
  in_vain_ns_[MessageKind(facts)] = 0;
  NoteChoice(facts, choice);
  const auto link = static_cast<size_t>(choice.link);
  LinkView& view = views_[link];
  --view.room;
  view.backlog_room = std::min(view.backlog_room - (message.backlog ? 1 : 0), view.room);
  if (message.backlog) backlog_pace_.Spend(1);
  ++view.in_flight;
  view.in_flight_bytes += facts.bytes;
  LinkState& state = *links_[link];
  state.mean_bytes += kMeanStep * (static_cast<double>(facts.bytes) - state.mean_bytes);
  OutboundMessage out = Outbound(message);
  Delivery delivery;
  delivery.key = message.key;
  delivery.attempts = message.attempts;
  delivery.bytes = static_cast<uint32_t>(message.envelope_json.size());
  delivery.backlog = message.backlog;
  delivery.sent_ns = clock_->MonotonicNanos();
  delivery.bytes_ahead = state.table.active_bytes();
  const uint64_t bytes = delivery.bytes_ahead + delivery.bytes;
  delivery.deadline_ns = delivery.sent_ns + state.timeout_ns +
                         static_cast<int64_t>(bytes / kSlowestBytes) * kNanosPerSecond;
  delivery.message_deadline_ns = message.deadline_monotonic_ns;
  delivery.tried = tried;
  out.token = state.table.Add(delivery);
  NoteRepeated(delivery, state.id, out.token);
  state.batch.push_back(out);
  state.batch_sources.push_back(index);
  return true;
}

// Live messages go on their own: a peer confirms what came together together.
size_t DispatchCore::PartSize(const LinkState& state, size_t first) const {
  const auto backlog = [&](size_t i) { return claimed_[state.batch_sources[i]].backlog; };
  const size_t most = std::min(state.batch.size(), first + options_.batch);
  size_t end = first + 1;
  while (end < most && backlog(end) == backlog(first)) ++end;
  return end - first;
}

void DispatchCore::DeliverBatch(size_t link_index, int64_t now) {
  LinkState& state = *links_[link_index];
  if (state.batch.empty()) return;
  const absl::Span<const OutboundMessage> all = state.batch;
  size_t taken = 0;
  while (taken < all.size()) {
    const auto part = all.subspan(taken, PartSize(state, taken));
    // A link that claims to have taken more than it was offered took what it was offered.
    const size_t took = std::min(state.link->Deliver(part), part.size());
    for (size_t i = 0; i < took; ++i) {
      Count(&state.counters->bytes_sent, part[i].envelope_json.size());
      const OutboxMessage& message = claimed_[state.batch_sources[taken + i]];
      state.counters->queue.Add(message.queued_ns);
      if (message.attempts > 0) continue;
      retry_budget_.OnFirst();
      hedge_budget_.OnFirst();
    }
    taken += took;
    if (took == part.size()) continue;
    state.blocked = true;
    state.blocked_until_ns = now + kBlockedNs;
    break;
  }
  Count(&state.counters->sent, taken);
  for (size_t i = taken; i < all.size(); ++i) {
    state.table.TakeBack(all[i].token);
    repeated_.erase(claimed_[state.batch_sources[i]].key);
    Settle(claimed_[state.batch_sources[i]].key, SettleKind::kRelease);
  }
  state.counters->in_flight.store(state.table.active(), std::memory_order_relaxed);
  state.batch.clear();
  state.batch_sources.clear();
}

}  // namespace viaduct
