#include "core/gateway/dispatch_core.h"

#include <algorithm>
#include <bitset>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

// Entries outlive their message when the outbox expires it; forgetting them costs one wrong guess.
constexpr size_t kMaxTried = 65'536;
// A link that took nothing and says nothing is asked again after this.
constexpr int64_t kBlockedNs = 100'000'000;
constexpr int kConfirmTimes = 2;  // The time of a delivery in those of the link itself.
constexpr int64_t kNanosPerSecond = 1'000'000'000;

int64_t Nanos(absl::Duration d) { return absl::ToInt64Nanoseconds(d); }

}  // namespace

DispatchCore::DispatchCore(const DispatcherOptions& options, Outbox* outbox, Selector* selector,
                           Clock* clock, absl::BitGenRef random, Log* log)
    : options_(options),
      outbox_(outbox),
      selector_(selector),
      clock_(clock),
      random_(random),
      log_(log),
      retry_budget_(options.retry_budget) {}

bool DispatchCore::AddLink(LinkId id, Link* link, LinkTraits traits,
                           std::shared_ptr<LinkCounters> counters) {
  if (links_.size() >= kMaxLinks) return false;
  auto state = std::make_unique<LinkState>(options_.window, options_.failures_to_open);
  state->id = id;
  state->link = link;
  state->traits = std::move(traits);
  state->counters = std::move(counters);
  links_.push_back(std::move(state));
  tried_.clear();  // Bits are positions.
  return true;
}

DispatchCore::LinkState* DispatchCore::FindLink(LinkId id) {
  for (const auto& state : links_) {
    if (state->id == id) return state.get();
  }
  return nullptr;
}

void DispatchCore::RemoveLink(LinkId id) {
  for (size_t i = 0; i < links_.size(); ++i) {
    if (links_[i]->id != id) continue;
    Delivery delivery;
    while (links_[i]->table.TakeAny(&delivery)) Settle(delivery.key, SettleKind::kRelease);
    links_[i]->counters->in_flight.store(0, std::memory_order_relaxed);
    links_.erase(links_.begin() + static_cast<std::ptrdiff_t>(i));
    tried_.clear();
    break;
  }
  FlushSettlements();
}

void DispatchCore::SetOrder(const std::vector<LinkId>& ids) {
  const auto rank = [&](const std::unique_ptr<LinkState>& state) {
    return std::find(ids.begin(), ids.end(), state->id) - ids.begin();
  };
  const auto before = [&](const auto& a, const auto& b) { return rank(a) < rank(b); };
  if (std::is_sorted(links_.begin(), links_.end(), before)) return;
  std::stable_sort(links_.begin(), links_.end(), before);
  tried_.clear();
}

void DispatchCore::GiveBackAll() {
  Delivery delivery;
  for (const auto& state : links_) {
    while (state->table.TakeAny(&delivery)) Settle(delivery.key, SettleKind::kRelease);
    state->counters->in_flight.store(0, std::memory_order_relaxed);
  }
  FlushSettlements();
}

size_t DispatchCore::in_flight() const {
  size_t total = 0;
  for (const auto& state : links_) total += state->table.active();
  return total;
}

void DispatchCore::Settle(int64_t key, SettleKind kind, int64_t delay_ns, std::string reason) {
  settlements_.push_back({key, kind, delay_ns, std::move(reason)});
}

void DispatchCore::FlushSettlements() {
  if (settlements_.empty()) return;
  outbox_->Settle(settlements_);
  settlements_.clear();
}

void DispatchCore::Complete(LinkId id, absl::Span<const Completion> completions) {
  LinkState* state = FindLink(id);
  if (state == nullptr) return;  // Removed: its messages have gone another way.
  const int64_t now = clock_->MonotonicNanos();
  traffic_ = Traffic();
  for (const Completion& completion : completions) CompleteOne(state, completion, now);
  if (traffic_.confirmed + traffic_.failed > 0) {
    state->counters->meter.NoteTraffic(traffic_.confirmed, traffic_.failed, traffic_.fastest, now);
    state->counters->meter.NoteBandwidth(state->model.bytes_per_second());
  }
  state->counters->in_flight.store(state->table.active(), std::memory_order_relaxed);
  state->blocked = false;
  FlushSettlements();
}

void DispatchCore::CompleteOne(LinkState* state, const Completion& completion, int64_t now) {
  Delivery delivery;
  LinkCounters& counters = *state->counters;
  const DeliveryTable::Found found = state->table.Finish(completion.token, &delivery);
  if (found == DeliveryTable::Found::kUnknown) return Count(&counters.unknown);
  if (found == DeliveryTable::Found::kLate) return Count(&counters.late);
  counters.delivery.Add(now - delivery.sent_ns);
  switch (completion.outcome) {
    case Outcome::kDurable:
      Count(&counters.confirmed);
      NoteSuccess(state);
      NoteConfirmed(state, delivery, now);
      if (delivery.tried != 0) tried_.erase(delivery.key);
      return Settle(delivery.key, SettleKind::kConfirmed);
    case Outcome::kExpired:
      // Believed only when it is so: a message that may live must not die of a plugin's mistake.
      if (delivery.message_deadline_ns != 0 && delivery.message_deadline_ns <= now) {
        Count(&counters.expired);
        return Settle(delivery.key, SettleKind::kExpired);
      }
      Count(&counters.retried);
      return RetryDelivery(state, delivery, completion, SettleKind::kRetry, now);
    case Outcome::kReject:
      Count(&counters.rejected);
      NoteSuccess(state);  // The peer answered; the message is the problem.
      return RetryDelivery(state, delivery, completion, SettleKind::kReject, now);
    case Outcome::kCancelled:
      Count(&counters.cancelled);
      return RetryDelivery(state, delivery, completion, SettleKind::kRetry, now);
    case Outcome::kRetry:
      break;
  }
  Count(&counters.retried);
  NoteFailure(state, delivery.sent_ns, completion.retry_after, now);
  RetryDelivery(state, delivery, completion, SettleKind::kRetry, now);
}

int64_t DispatchCore::DelayNanos(uint32_t failures) {
  return Nanos(RetryPolicy::DelayAfter(options_.retry, failures, random_));
}

bool DispatchCore::OtherLinkUntried(uint64_t tried, int64_t now) const {
  for (size_t i = 0; i < links_.size(); ++i) {
    const LinkState& state = *links_[i];
    if ((tried >> i & 1) == 0 && state.breaker.state(now) != BreakerState::kOpen &&
        state.link->ready()) {
      return true;
    }
  }
  return false;
}

// Another link at once where there is one, else this one later.
void DispatchCore::RetryDelivery(LinkState* state, const Delivery& delivery,
                                 const Completion& completion, SettleKind kind, int64_t now) {
  size_t index = 0;
  while (links_[index].get() != state) ++index;
  uint64_t tried = delivery.tried | uint64_t{1} << index;
  int64_t delay = 0;
  if (!MayFallBack(tried, now)) {
    tried = 0;
    // While the breaker is open nothing but its end matters; else each message has its own
    // patience.
    const int64_t opens = state->breaker.open_until_ns();
    delay = opens > now ? opens - now : DelayNanos(delivery.attempts + 1);
  }
  delay = std::max(delay, tried == 0 ? Nanos(completion.retry_after) : 0);
  if (tried_.size() >= kMaxTried) tried_.clear();
  if (tried != 0) tried_[delivery.key] = tried;
  if (tried == 0 && delivery.tried != 0) tried_.erase(delivery.key);
  std::string reason =
      absl::StrCat(AbslView(state->link->name()), ": ", AbslView(OutcomeName(completion.outcome)));
  if (!completion.status.ok()) absl::StrAppend(&reason, ", ", completion.status.message());
  Settle(delivery.key, kind, delay, std::move(reason));
}

bool DispatchCore::MayFallBack(uint64_t tried, int64_t now) {
  if (!options_.fallback || !OtherLinkUntried(tried, now)) return false;
  const std::bitset<kMaxLinks> bits(tried);
  return bits.count() < options_.max_attempts && retry_budget_.Spend(now);
}

void DispatchCore::NoteSuccess(LinkState* state) {
  if (!state->breaker.OnSuccess()) return;
  log_->Info("gateway", "link delivers again", {{"link", state->link->name()}});
}

void DispatchCore::NoteConfirmed(LinkState* state, const Delivery& delivery, int64_t now) {
  const absl::Duration took = absl::Nanoseconds(now - delivery.sent_ns);
  state->model.OnConfirmed(delivery.bytes_ahead + delivery.bytes, absl::ToDoubleSeconds(took));
  ++traffic_.confirmed;
  traffic_.fastest = std::min(traffic_.fastest, took);
}

void DispatchCore::NoteProbe(LinkId id, bool answered, absl::Duration round_trip, uint64_t bytes) {
  LinkState* state = FindLink(id);
  if (state == nullptr) return;
  state->counters->meter.NoteProbe(answered, round_trip, bytes, clock_->MonotonicNanos());
  if (!answered) return;
  state->model.OnProbe(absl::ToDoubleSeconds(round_trip));
  state->breaker.OnSignOfLife();
}

void DispatchCore::NoteFailure(LinkState* state, int64_t sent_ns, absl::Duration retry_after,
                               int64_t now) {
  ++traffic_.failed;
  state->model.OnFailed(static_cast<double>(now - sent_ns) / kNanosPerSecond);
  const bool opened = state->breaker.OnFailure(sent_ns, Nanos(retry_after), now,
                                               [this](uint32_t n) { return DelayNanos(n); });
  if (!opened) return;
  state->counters->breaker.store(BreakerState::kOpen, std::memory_order_relaxed);
  if (state->breaker.opened_in_a_row() == 1) {
    const absl::Duration delay = absl::Nanoseconds(state->breaker.open_until_ns() - now);
    log_->Warning("gateway", "link fails, pausing",
                  {{"link", state->link->name()}, {"delay", absl::FormatDuration(delay)}});
  }
}

void DispatchCore::LinkReady(LinkId id) {
  LinkState* state = FindLink(id);
  if (state != nullptr) state->blocked = false;
}

void DispatchCore::TimeOutDeliveries(int64_t now) {
  Completion timed_out;
  timed_out.outcome = Outcome::kCancelled;
  for (const auto& state : links_) {
    Delivery delivery;
    traffic_ = Traffic();
    while (state->table.AbandonDue(now, &delivery)) {
      timed_out.status = absl::DeadlineExceededError(absl::StrCat(
          "no answer within ", absl::FormatDuration(absl::Nanoseconds(now - delivery.sent_ns))));
      Count(&state->counters->timed_out);
      NoteFailure(state.get(), delivery.sent_ns, absl::ZeroDuration(), now);
      RetryDelivery(state.get(), delivery, timed_out, SettleKind::kRetry, now);
    }
    if (traffic_.failed > 0) {
      state->counters->meter.NoteTraffic(0, traffic_.failed, traffic_.fastest, now);
    }
    state->table.Reclaim(now);
    state->counters->in_flight.store(state->table.active(), std::memory_order_relaxed);
  }
  FlushSettlements();
}

// Returns how many messages the links would take together.
size_t DispatchCore::UpdateViews(int64_t now) {
  views_.resize(links_.size());
  size_t total = 0;
  for (size_t i = 0; i < links_.size(); ++i) {
    LinkState& state = *links_[i];
    if (state.blocked && state.blocked_until_ns <= now) state.blocked = false;
    const BreakerState breaker = state.breaker.state(now);
    state.counters->breaker.store(breaker, std::memory_order_relaxed);
    const bool ready = state.link->ready();
    state.counters->meter.NoteReady(ready && breaker != BreakerState::kOpen, now);
    LinkView& view = views_[i];
    Describe(state, now, &view);
    state.timeout_ns = std::max(Nanos(options_.delivery_timeout),
                                Nanos(state.link->confirm_timeout() * kConfirmTimes));
    state.counters->ready.store(ready, std::memory_order_relaxed);
    view.ready = ready && breaker != BreakerState::kOpen;
    if (!view.ready || state.blocked) continue;
    view.room = std::min(state.link->credit(), state.table.room());
    if (breaker == BreakerState::kHalfOpen) {
      view.room = view.in_flight == 0 ? std::min<size_t>(view.room, 1) : 0;
    }
    total += view.room;
  }
  return total;
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
    change.why = absl::StrCat(chosen, " is gone");
  } else {
    change.why = absl::StrCat(chosen, old->ready ? " is no longer the best" : " is not ready");
  }
  chosen = change.to;
  if (switches_.size() >= kMaxSwitches) switches_.erase(switches_.begin());
  switches_.push_back(std::move(change));
}

int64_t DispatchCore::Step() {
  const int64_t now = clock_->MonotonicNanos();
  TimeOutDeliveries(now);
  while (claiming_ && Pump(now)) {
  }
  return NextWake(now);
}

// Claims what the links would take and offers it; true when there may be more.
bool DispatchCore::Pump(int64_t now) {
  const size_t room = UpdateViews(now);
  if (room == 0) return false;
  const size_t want = std::min(room, options_.batch * links_.size());
  claimed_.clear();
  const size_t got = outbox_->Claim(want, options_.max_claim_bytes, &claimed_);
  if (got == 0) return false;
  for (size_t i = 0; i < got; ++i) Assign(i, now);
  for (size_t i = 0; i < links_.size(); ++i) DeliverBatch(i, now);
  FlushSettlements();
  return true;
}

void DispatchCore::Assign(size_t index, int64_t now) {
  const OutboxMessage& message = claimed_[index];
  SelectorMessage facts;
  facts.bytes = message.envelope_json.size();
  facts.data_type = message.data_type;
  facts.priority = message.priority;
  facts.attempts = message.attempts;
  facts.now_ns = now;
  if (message.attempts == 0) {
    retry_budget_.OnFirst();
  } else {
    const auto tried = tried_.find(message.key);
    facts.tried = tried == tried_.end() ? 0 : tried->second;
  }
  const Choice choice = selector_->Pick(facts, views_);
  if (choice.link < 0 || static_cast<size_t>(choice.link) >= views_.size() ||
      views_[static_cast<size_t>(choice.link)].room == 0) {
    return Settle(message.key, SettleKind::kRelease);
  }
  NoteChoice(facts, choice);
  const auto link = static_cast<size_t>(choice.link);
  --views_[link].room;
  ++views_[link].in_flight;
  views_[link].in_flight_bytes += facts.bytes;
  LinkState& state = *links_[link];
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
  Delivery delivery;
  delivery.key = message.key;
  delivery.attempts = message.attempts;
  delivery.bytes = static_cast<uint32_t>(message.envelope_json.size());
  delivery.sent_ns = clock_->MonotonicNanos();
  delivery.bytes_ahead = state.table.active_bytes();
  const uint64_t bytes = delivery.bytes_ahead + delivery.bytes;
  delivery.deadline_ns = delivery.sent_ns + state.timeout_ns +
                         static_cast<int64_t>(bytes / kSlowestBytes) * kNanosPerSecond;
  delivery.message_deadline_ns = message.deadline_monotonic_ns;
  delivery.tried = facts.tried;
  out.token = state.table.Add(delivery);
  state.batch.push_back(out);
  state.batch_sources.push_back(index);
}

void DispatchCore::DeliverBatch(size_t link_index, int64_t now) {
  LinkState& state = *links_[link_index];
  if (state.batch.empty()) return;
  const absl::Span<const OutboundMessage> all = state.batch;
  size_t taken = 0;
  while (taken < all.size()) {
    const auto part = all.subspan(taken, options_.batch);
    // A link that claims to have taken more than it was offered took what it was offered.
    const size_t took = std::min(state.link->Deliver(part), part.size());
    for (size_t i = 0; i < took; ++i) {
      Count(&state.counters->bytes_sent, part[i].envelope_json.size());
      state.counters->queue.Add(claimed_[state.batch_sources[taken + i]].queued_ns);
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
    Settle(claimed_[state.batch_sources[i]].key, SettleKind::kRelease);
  }
  state.counters->in_flight.store(state.table.active(), std::memory_order_relaxed);
  state.batch.clear();
  state.batch_sources.clear();
}

int64_t DispatchCore::NextWake(int64_t now) const {
  int64_t wake = kNever;
  bool room = false;
  for (const auto& state : links_) {
    for (const int64_t due : {state->table.NextDeadlineNs(), state->table.NextReclaimNs()}) {
      if (due >= 0) wake = std::min(wake, due);
    }
    const int64_t opens = state->breaker.open_until_ns();
    if (opens > now) wake = std::min(wake, opens);
    if (state->blocked) wake = std::min(wake, state->blocked_until_ns);
    room = room || (opens <= now && !state->blocked && state->link->ready());
  }
  if (room && claiming_) wake = std::min(wake, outbox_->NextDueNanos());
  // What is due already waits for room, and room comes with an event.
  return wake <= now ? now + kBlockedNs : wake;
}

}  // namespace viaduct
