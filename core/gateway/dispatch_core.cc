#include "core/gateway/dispatch_core.h"

#include <algorithm>
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
      log_(log) {}

bool DispatchCore::AddLink(LinkId id, Link* link, std::shared_ptr<LinkCounters> counters) {
  if (links_.size() >= kMaxLinks) return false;
  auto state = std::make_unique<LinkState>(options_.window);
  state->id = id;
  state->link = link;
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
  for (const Completion& completion : completions) CompleteOne(state, completion, now);
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
    if ((tried >> i & 1) == 0 && state.paused_until_ns <= now && state.link->ready()) return true;
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
  if (!OtherLinkUntried(tried, now)) {
    tried = 0;
    // While the link pauses nothing but its end matters; else each message has its own patience.
    delay = state->paused_until_ns > now ? state->paused_until_ns - now
                                         : DelayNanos(delivery.attempts + 1);
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

void DispatchCore::NoteSuccess(LinkState* state) {
  state->failures_in_a_row = 0;
  if (state->pauses_in_a_row > 0) {
    log_->Info("gateway", "link delivers again", {{"link", state->link->name()}});
  }
  state->pauses_in_a_row = 0;
  state->probing = false;
  if (!state->pause_asked) state->paused_until_ns = 0;
}

void DispatchCore::NoteFailure(LinkState* state, int64_t sent_ns, absl::Duration retry_after,
                               int64_t now) {
  // Failures of what was in flight when the pause began tell nothing new.
  if (sent_ns <= state->pause_began_ns || state->paused_until_ns > now) return;
  ++state->failures_in_a_row;
  const bool asked = retry_after > absl::ZeroDuration();
  if (!asked && !state->probing && state->failures_in_a_row < options_.failures_before_pause) {
    return;
  }
  const int64_t delay = std::max(DelayNanos(++state->pauses_in_a_row), Nanos(retry_after));
  state->paused_until_ns = now + delay;
  state->pause_began_ns = now;
  state->pause_asked = asked;
  state->probing = true;
  state->counters->paused.store(true, std::memory_order_relaxed);
  if (state->pauses_in_a_row == 1) {
    log_->Warning(
        "gateway", "link fails, pausing",
        {{"link", state->link->name()}, {"delay", absl::FormatDuration(absl::Nanoseconds(delay))}});
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
    while (state->table.AbandonDue(now, &delivery)) {
      timed_out.status = absl::DeadlineExceededError(absl::StrCat(
          "no answer within ", absl::FormatDuration(absl::Nanoseconds(now - delivery.sent_ns))));
      Count(&state->counters->timed_out);
      NoteFailure(state.get(), delivery.sent_ns, absl::ZeroDuration(), now);
      RetryDelivery(state.get(), delivery, timed_out, SettleKind::kRetry, now);
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
    const bool paused = state.paused_until_ns > now;
    state.counters->paused.store(paused, std::memory_order_relaxed);
    LinkView& view = views_[i];
    view.name = state.link->name();
    const bool ready = state.link->ready();
    state.timeout_ns = std::max(Nanos(options_.delivery_timeout),
                                Nanos(state.link->confirm_timeout() * kConfirmTimes));
    state.counters->ready.store(ready, std::memory_order_relaxed);
    view.ready = !paused && ready;
    view.in_flight = state.table.active();
    view.room = 0;
    if (!view.ready || state.blocked) continue;
    view.room = std::min(state.link->credit(), state.table.room());
    if (state.probing) view.room = view.in_flight == 0 ? std::min<size_t>(view.room, 1) : 0;
    total += view.room;
  }
  return total;
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
  for (size_t i = 0; i < got; ++i) Assign(i);
  for (size_t i = 0; i < links_.size(); ++i) DeliverBatch(i, now);
  FlushSettlements();
  return true;
}

void DispatchCore::Assign(size_t index) {
  const OutboxMessage& message = claimed_[index];
  SelectorMessage facts;
  facts.bytes = message.envelope_json.size();
  facts.data_type = message.data_type;
  facts.priority = message.priority;
  facts.attempts = message.attempts;
  if (message.attempts > 0) {
    const auto tried = tried_.find(message.key);
    facts.tried = tried == tried_.end() ? 0 : tried->second;
  }
  const int pick = selector_->Pick(facts, views_);
  if (pick < 0 || static_cast<size_t>(pick) >= views_.size() ||
      views_[static_cast<size_t>(pick)].room == 0) {
    return Settle(message.key, SettleKind::kRelease);
  }
  const auto link = static_cast<size_t>(pick);
  --views_[link].room;
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
  const uint64_t bytes = state.table.active_bytes() + delivery.bytes;
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
    if (state->paused_until_ns > now) wake = std::min(wake, state->paused_until_ns);
    if (state->blocked) wake = std::min(wake, state->blocked_until_ns);
    room = room || (state->paused_until_ns <= now && !state->blocked && state->link->ready());
  }
  if (room && claiming_) wake = std::min(wake, outbox_->NextDueNanos());
  // What is due already waits for room, and room comes with an event.
  return wake <= now ? now + kBlockedNs : wake;
}

}  // namespace viaduct
