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
constexpr int64_t kNanosPerSecond = 1'000'000'000;
constexpr double kMostHedged = 10;  // At once, after a time without any.

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
      retry_budget_(options.retry_budget),
      hedge_budget_({options.hedged_share, 0, kMostHedged}),
      backlog_pace_(options.backlog_per_second) {}

bool DispatchCore::AddLink(LinkId id, Link* link, LinkTraits traits,
                           std::shared_ptr<LinkCounters> counters) {
  if (links_.size() >= kMaxLinks) return false;
  auto state = std::make_unique<LinkState>(options_.window, options_.failures_to_open);
  state->id = id;
  state->bit = FreeBit();
  state->link = link;
  state->traits = std::move(traits);
  state->counters = std::move(counters);
  links_.push_back(std::move(state));
  return true;
}

uint64_t DispatchCore::FreeBit() const {
  uint64_t used = 0;
  for (const auto& state : links_) used |= state->bit;
  return ~used & (used + 1);  // The lowest that is not set.
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
    while (links_[i]->table.TakeAny(&delivery)) GiveBack(delivery);
    links_[i]->counters->in_flight.store(0, std::memory_order_relaxed);
    const uint64_t bit = links_[i]->bit;
    links_.erase(links_.begin() + static_cast<std::ptrdiff_t>(i));
    // Another may get it.
    for (const auto& state : links_) state->table.ForgetTried(bit);
    absl::erase_if(tried_, [bit](auto& entry) { return (entry.second &= ~bit) == 0; });
    repeated_.clear();
    hedged_.clear();
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
}

void DispatchCore::GiveBackAll() {
  Delivery delivery;
  repeated_.clear();
  hedged_.clear();
  for (const auto& state : links_) {
    while (state->table.TakeAny(&delivery)) GiveBack(delivery);
    state->counters->in_flight.store(0, std::memory_order_relaxed);
  }
  FlushSettlements();
}

size_t DispatchCore::in_flight() const {
  size_t total = 0;
  for (const auto& state : links_) total += state->table.active() - state->table.active_hedged();
  return total;
}

void DispatchCore::GiveBack(const Delivery& delivery) {
  if (!delivery.hedged) Settle(delivery.key, SettleKind::kRelease);
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
  if (traffic_.confirmed + traffic_.failed > 0) NoteTraffic(state, now);
  state->counters->in_flight.store(state->table.active(), std::memory_order_relaxed);
  state->blocked = false;
  FlushSettlements();
}

void DispatchCore::NoteTraffic(LinkState* state, int64_t now) {
  state->counters->meter.NoteTraffic(traffic_.confirmed, traffic_.failed, traffic_.fastest, now);
  state->counters->meter.NoteBandwidth(state->model.bytes_per_second());
  if (traffic_.confirmed > 0) {
    state->backlog.OnConfirmed(Nanos(traffic_.slowest), traffic_.bytes,
                               state->table.active_bytes() + traffic_.bytes, traffic_.alone, now);
  }
  if (traffic_.failed > 0) state->backlog.OnFailed(now);
}

void DispatchCore::CompleteOne(LinkState* state, const Completion& completion, int64_t now) {
  Delivery delivery;
  LinkCounters& counters = *state->counters;
  const DeliveryTable::Found found = state->table.Finish(completion.token, &delivery);
  if (found == DeliveryTable::Found::kUnknown) return Count(&counters.unknown);
  state->heard_ns = now;
  state->unanswered = false;
  if (found == DeliveryTable::Found::kLate) return CompleteLate(state, delivery, completion, now);
  switch (completion.outcome) {
    case Outcome::kDurable:
      counters.delivery.Add(now - delivery.sent_ns);
      NoteSuccess(state);
      NoteConfirmed(state, delivery, now);
      if (delivery.hedged) return ConfirmHedged(state, delivery);
      Count(&counters.confirmed);
      Forget(delivery);
      return Settle(delivery.key, SettleKind::kConfirmed);
    case Outcome::kExpired:
      // Believed only when it is so: a message that may live must not die of a plugin's mistake.
      if (!delivery.hedged && delivery.message_deadline_ns != 0 &&
          delivery.message_deadline_ns <= now) {
        Count(&counters.expired);
        Forget(delivery);
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

// The message has come to its end.
void DispatchCore::Forget(const Delivery& delivery) {
  if (delivery.tried == 0) return;
  tried_.erase(delivery.key);
  repeated_.erase(delivery.key);
  hedged_.erase(delivery.key);
}

void DispatchCore::NoteRepeated(const Delivery& delivery, LinkId link, uint64_t token) {
  if (delivery.tried == 0) return;
  if (repeated_.size() >= kMaxTried) repeated_.clear();
  repeated_[delivery.key] = {link, token};
}

int64_t DispatchCore::DelayNanos(uint32_t failures) {
  return Nanos(RetryPolicy::DelayAfter(options_.retry, failures, random_));
}

// Another link at once where there is one, or later when that is full; else this one later.
void DispatchCore::RetryDelivery(LinkState* state, const Delivery& delivery,
                                 const Completion& completion, SettleKind kind, int64_t now) {
  if (delivery.hedged) return EndHedge(*state, delivery);  // It has gone there.
  if (delivery.tried != 0) repeated_.erase(delivery.key);
  uint64_t tried = delivery.tried | state->bit;
  if (GoBackToFirst(delivery, tried)) return;
  int64_t delay = 0;
  const Elsewhere elsewhere = FallBack(tried, now);
  if (elsewhere == Elsewhere::kLater) {
    // However long this one pauses.
    delay = DelayNanos(delivery.attempts + 1);
  } else if (elsewhere == Elsewhere::kNowhere) {
    tried = 0;
    // While the breaker is open nothing but its end matters; else each message has its own
    // patience.
    const int64_t opens = state->breaker.open_until_ns();
    delay = opens > now ? opens - now : DelayNanos(delivery.attempts + 1);
    delay = std::max(delay, Nanos(completion.retry_after));
  }
  if (tried_.size() >= kMaxTried) tried_.clear();
  if (tried != 0) tried_[delivery.key] = tried;
  if (tried == 0 && delivery.tried != 0) tried_.erase(delivery.key);
  std::string reason =
      absl::StrCat(AbslView(state->link->name()), ": ", AbslView(OutcomeName(completion.outcome)));
  if (!completion.status.ok()) absl::StrAppend(&reason, ", ", completion.status.message());
  Settle(delivery.key, kind, delay, std::move(reason));
}

bool DispatchCore::MayTryAnother(uint64_t tried) const {
  return std::bitset<kMaxLinks>(tried).count() < options_.max_attempts;
}

DispatchCore::Elsewhere DispatchCore::FallBack(uint64_t tried, int64_t now) {
  if (!options_.fallback || !MayTryAnother(tried)) return Elsewhere::kNowhere;
  Elsewhere found = Elsewhere::kNowhere;
  for (const auto& state : links_) {
    if ((tried & state->bit) != 0 || !Works(*state, now)) continue;
    found = Elsewhere::kLater;  // It is full, or the budget is spent, but that passes.
    if (RoomOf(*state, state->link->credit(), now) <= state->promised) continue;
    if (!retry_budget_.Spend(now)) return found;
    ++state->promised;
    return Elsewhere::kNow;
  }
  return found;
}

void DispatchCore::NoteSuccess(LinkState* state) {
  if (!state->breaker.OnSuccess()) return;
  log_->Info("gateway", "link delivers again", {{"link", state->link->name()}});
}

void DispatchCore::NoteConfirmed(LinkState* state, const Delivery& delivery, int64_t now) {
  const absl::Duration took = absl::Nanoseconds(now - delivery.sent_ns);
  // What was under way when the link failed tells how long it was away, not how it is.
  if (delivery.sent_ns > state->failed_ns)
    state->model.OnConfirmed(delivery.bytes_ahead + delivery.bytes, absl::ToDoubleSeconds(took),
                             delivery.bytes_ahead);
  ++traffic_.confirmed;
  traffic_.bytes += delivery.bytes;
  traffic_.alone = traffic_.alone || delivery.bytes_ahead == 0;
  traffic_.fastest = std::min(traffic_.fastest, took);
  traffic_.slowest = std::max(traffic_.slowest, took);
}

void DispatchCore::NoteProbe(LinkId id, bool answered, absl::Duration round_trip, uint64_t bytes) {
  LinkState* state = FindLink(id);
  if (state == nullptr) return;
  const int64_t now = clock_->MonotonicNanos();
  state->counters->meter.NoteProbe(answered, round_trip, bytes, now);
  // Messages were answered meanwhile: that says more.
  const bool heard = state->heard_ns != 0 && now - state->heard_ns < Nanos(round_trip);
  state->unanswered = !answered && !heard;
  NoteRoad(state, now);
  if (state->unanswered) state->breaker.OnUnanswered();
  if (!answered) return;
  state->model.OnProbe(absl::ToDoubleSeconds(round_trip));
  state->breaker.OnSignOfLife();
}

void DispatchCore::NoteFailure(LinkState* state, int64_t sent_ns, absl::Duration retry_after,
                               int64_t now) {
  ++traffic_.failed;
  // What was in flight at the last failure failed with it: of a road that was lost, many at once.
  if (sent_ns > state->failed_ns) {
    state->model.OnFailed(static_cast<double>(now - sent_ns) / kNanosPerSecond);
    state->failed_ns = now;
  }
  TellBreaker(state, sent_ns, retry_after, now);
}

void DispatchCore::TellBreaker(LinkState* state, int64_t sent_ns, absl::Duration retry_after,
                               int64_t now) {
  const bool opened = state->breaker.OnFailure(sent_ns, Nanos(retry_after), now,
                                               [this](uint32_t n) { return DelayNanos(n); });
  if (!opened) return;
  state->counters->breaker.store(BreakerState::kOpen, std::memory_order_relaxed);
  if (state->breaker.opened_in_a_row() == 1 || retry_after > absl::ZeroDuration()) {
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
    if (traffic_.failed > 0) NoteTraffic(state.get(), now);
    state->table.Reclaim(now);
    state->counters->in_flight.store(state->table.active(), std::memory_order_relaxed);
  }
  FlushSettlements();
}

int64_t DispatchCore::Step() {
  const int64_t now = clock_->MonotonicNanos();
  TimeOutDeliveries(now);
  LeaveSilentLinks(now);
  HedgeLate(now);
  const bool more = claiming_ && PumpAll(now);
  const int64_t wake = NextWake(now);
  return more ? std::min(wake, now + kGoOnNs) : wake;
}

int64_t DispatchCore::NextWake(int64_t now) const {
  int64_t wake = std::min(NextSilenceNs(now), NextLateNs(now));
  bool room = false;
  for (const auto& state : links_) {
    for (const int64_t due : {state->table.NextDeadlineNs(), state->table.NextReclaimNs()}) {
      if (due >= 0) wake = std::min(wake, due);
    }
    const int64_t opens = state->breaker.open_until_ns();
    if (opens > now) wake = std::min(wake, opens);
    if (state->blocked) wake = std::min(wake, state->blocked_until_ns);
    if (state->refuses_ns != 0 && state->connected) {
      wake = std::min(wake, state->refuses_ns + kUnconnectedNs);
    }
    room = room || (!state->blocked && Works(*state, now));
  }
  if (claiming_ && !links_.empty()) wake = std::min(wake, looked_ns_ + kLookNs);
  if (room && claiming_) {
    wake = std::min(wake, outbox_->NextDueNanos());
    if (const int64_t paced = backlog_pace_.NextNanos(); paced > now) wake = std::min(wake, paced);
  }
  // What is due already waits for room, and room comes with an event.
  return wake <= now ? now + kBlockedNs : wake;
}

}  // namespace viaduct
