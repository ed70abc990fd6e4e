// What the dispatcher does about a link that owes answers and gives none, and about a message that
// takes longer than others did.
#include <algorithm>
#include <bitset>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/gateway/dispatch_core.h"

namespace viaduct {
namespace {

// A link is silent when it owes an answer for so many times what was expected, and at least so
// long.
constexpr double kPatienceTimes = 5;
constexpr double kLeastPatienceSeconds = 1;
constexpr int64_t kBudgetNs =
    100'000'000;  // Until what the retry budget did not allow is tried again.
constexpr size_t kMostHedgedBytes = 64u << 10;
constexpr size_t kMostLookedAt = 16;   // Of what a link has under way, for what is late.
constexpr size_t kMaxHedged = 65'536;  // No more are remembered.
constexpr int64_t kNanosPerSecond = 1'000'000'000;

}  // namespace

int64_t DispatchCore::SilentSinceNs(const LinkState& state) const {
  const Delivery* oldest = state.table.Oldest();
  return oldest == nullptr ? kNever : std::max(oldest->sent_ns, state.heard_ns);
}

int64_t DispatchCore::SilentAtNs(const LinkState& state) const {
  const int64_t since = SilentSinceNs(state);
  if (since == kNever) return kNever;
  const uint64_t bytes = state.table.BytesToOldest();
  const double patience_s =
      std::max(kLeastPatienceSeconds, kPatienceTimes * state.model.ExpectedSeconds(bytes)) +
      static_cast<double>(bytes) / kSlowestBytes;
  return since + static_cast<int64_t>(patience_s * kNanosPerSecond);
}

bool DispatchCore::Answers(const LinkState& state, int64_t now) const {
  return Works(state, now) && SilentAtNs(state) > now &&
         state.breaker.state(now) == BreakerState::kClosed;
}

bool DispatchCore::OtherLinkAnswers(const LinkState& silent, uint64_t tried, int64_t now) const {
  for (const auto& other : links_) {
    const LinkState& state = *other;
    if (other.get() != &silent && (tried & state.bit) == 0 && Answers(state, now)) return true;
  }
  return false;
}

// A road that is cut says nothing, and its own time limit is long: while another answers, what the
// silent one has in flight goes there too, and whichever confirms first counts.
void DispatchCore::LeaveSilentLinks(int64_t now) {
  if (!options_.fallback) return;
  for (const auto& state : links_) {
    if (SilentAtNs(*state) > now) continue;
    const Delivery& oldest = *state->table.Oldest();
    const bool goes_another_way = oldest.hedged || IsHedgedElsewhere(oldest);
    if (!OtherLinkAnswers(*state, goes_another_way ? 0 : oldest.tried, now)) continue;
    LeaveSilentLink(state.get(), now);
  }
  FlushSettlements();
}

void DispatchCore::LeaveSilentLink(LinkState* state, int64_t now) {
  traffic_ = Traffic();
  const int64_t since = SilentSinceNs(*state);
  const absl::Duration silent = absl::Nanoseconds(now - since);
  if (state->breaker.OnSilence(state->table.Oldest()->sent_ns, now,
                               [this](uint32_t n) { return DelayNanos(n); })) {
    log_->Warning("gateway", "link says nothing, pausing",
                  {{"link", state->link->name()}, {"silent", absl::FormatDuration(silent)}});
  }
  Completion silence;
  silence.outcome = Outcome::kCancelled;
  silence.status =
      absl::DeadlineExceededError(absl::StrCat("silent for ", absl::FormatDuration(silent)));
  Delivery delivery;
  while (const Delivery* oldest = state->table.Oldest()) {
    const uint64_t tried = oldest->tried | state->bit;
    const bool goes_another_way = oldest->hedged || IsHedgedElsewhere(*oldest);
    if (!goes_another_way && (!MayTryAnother(tried) || !OtherLinkAnswers(*state, tried, now) ||
                              !retry_budget_.Has(now))) {
      break;
    }
    state->table.AbandonOldest(&delivery);
    Count(&state->counters->timed_out);
    NoteFailure(state, delivery.sent_ns, absl::ZeroDuration(), now);
    RetryDelivery(state, delivery, silence, SettleKind::kRetry, now);
  }
  if (traffic_.failed > 0) NoteTraffic(state, now);
  state->counters->in_flight.store(state->table.active(), std::memory_order_relaxed);
}

// When a silence becomes too long; soon, where that waits for the budget.
int64_t DispatchCore::NextSilenceNs(int64_t now) const {
  int64_t next = kNever;
  if (links_.size() < 2 || !options_.fallback) return next;
  for (const auto& state : links_) {
    const int64_t at = SilentAtNs(*state);
    if (at != kNever) next = std::min(next, at > now ? at : now + kBudgetNs);
  }
  return next;
}

// The message has gone another way. Confirmed it is all the same, and the link works; and what the
// peer asks for it asks for still.
void DispatchCore::CompleteLate(LinkState* state, const Delivery& delivery,
                                const Completion& completion, int64_t now) {
  Count(&state->counters->late);
  if (completion.outcome == Outcome::kRetry && completion.retry_after > absl::ZeroDuration()) {
    TellBreaker(state, delivery.sent_ns, completion.retry_after, now);
  }
  if (completion.outcome != Outcome::kDurable) return;
  NoteSuccess(state);
  ConfirmForAnother(state, delivery);
}

// Unless the other was first, or has given it up.
void DispatchCore::ConfirmForAnother(LinkState* state, const Delivery& delivery) {
  const auto repeated = repeated_.find(delivery.key);
  if (repeated == repeated_.end()) return;
  LinkState* other = FindLink(repeated->second.link);
  if (other != nullptr) other->table.Hedge(repeated->second.token);
  repeated_.erase(repeated);
  tried_.erase(delivery.key);
  hedged_.erase(delivery.key);
  Count(&state->counters->confirmed);
  Settle(delivery.key, SettleKind::kConfirmed);
}

// Its outcome is one of the link only, unless it confirms the message.
void DispatchCore::CompleteHedged(LinkState* state, const Delivery& delivery,
                                  const Completion& completion, int64_t now) {
  LinkCounters& counters = *state->counters;
  switch (completion.outcome) {
    case Outcome::kDurable: {
      counters.delivery.Add(now - delivery.sent_ns);
      NoteSuccess(state);
      NoteConfirmed(state, delivery, now);
      const auto first = hedged_.find(delivery.key);
      const bool waits = first != hedged_.end() && repeated_.count(delivery.key) == 0;
      if (waits) first->second.confirmed = true;  // Assign settles it.
      return ConfirmForAnother(state, delivery);
    }
    case Outcome::kReject:
      Count(&counters.rejected);
      NoteSuccess(state);
      break;
    case Outcome::kCancelled:
      Count(&counters.cancelled);
      break;
    case Outcome::kExpired:
    case Outcome::kRetry:
      Count(&counters.retried);
      NoteFailure(state, delivery.sent_ns, completion.retry_after, now);
      break;
  }
  EndHedge(*state, delivery);
}

bool DispatchCore::Hedges() const {
  return claiming_ && options_.fallback && options_.hedged_share > 0 && links_.size() > 1 &&
         selector_->hedges();
}

// When it has taken longer than usual; kNever: it may take its time.
int64_t DispatchCore::LateAtNs(const LinkState& state, const Delivery& delivery) {
  if (delivery.hedged || delivery.backlog || delivery.bytes > kMostHedgedBytes) return kNever;
  const double late_s = state.model.LateSeconds(delivery.bytes_ahead + delivery.bytes);
  if (!std::isfinite(late_s)) return kNever;
  return delivery.sent_ns + static_cast<int64_t>(late_s * kNanosPerSecond);
}

uint64_t DispatchCore::NotForHedges(const LinkState& state) const {
  uint64_t links = state.bit;
  for (const auto& other : links_) {
    const bool dearer = other->traits.cost_per_mb > state.traits.cost_per_mb;
    if (other->traits.metered || dearer) links |= other->bit;
  }
  return links;
}

// Another that costs no more answers, and is expected to need no longer than was waited already.
bool DispatchCore::AnotherIsSooner(const LinkState& state, const Delivery& late,
                                   int64_t now) const {
  const double waited_s = static_cast<double>(now - late.sent_ns) / kNanosPerSecond;
  const uint64_t without = late.tried | NotForHedges(state);
  return std::any_of(links_.begin(), links_.end(), [&](const auto& other) {
    return (without & other->bit) == 0 && Answers(*other, now) && other->model.confirmed() &&
           RoomOf(*other, other->link->credit(), now) > other->promised &&
           other->model.ExpectedSeconds(other->table.active_bytes() + late.bytes) <= waited_s;
  });
}

// The oldest that is late and has another way, as far as the budgets reach.
bool DispatchCore::Hedge(LinkState* state, int64_t now) {
  uint64_t late_token = 0;
  Delivery late;
  state->table.LookAtOldest(kMostLookedAt, [&](uint64_t token, const Delivery& delivery) {
    const bool too_old = delivery.message_deadline_ns != 0 && delivery.message_deadline_ns <= now;
    if (LateAtNs(*state, delivery) > now || too_old ||
        !MayTryAnother(delivery.tried | state->bit) || IsHedgedElsewhere(delivery) ||
        !AnotherIsSooner(*state, delivery, now)) {
      return true;
    }
    late_token = token;
    late = delivery;
    return false;
  });
  if (late_token == 0 || !retry_budget_.Has(now) || !hedge_budget_.Spend(now)) return false;
  Completion why;
  why.outcome = Outcome::kCancelled;
  why.status = absl::DeadlineExceededError(
      absl::StrCat("late after ", absl::FormatDuration(absl::Nanoseconds(now - late.sent_ns))));
  RetryDelivery(state, late, why, SettleKind::kRetry, now);
  state->table.Hedge(late_token);
  if (hedged_.size() >= kMaxHedged) hedged_.clear();
  hedged_[late.key] = {{state->id, late_token}};
  Count(&state->counters->hedged);
  return true;
}

// A message that takes long goes another way besides.
void DispatchCore::HedgeLate(int64_t now) {
  if (!Hedges()) return;
  for (const auto& state : links_) {
    while (Hedge(state.get(), now)) {
    }
  }
  FlushSettlements();
}

// The first delivery of a message has ended without confirming it.
void DispatchCore::EndHedge(const LinkState& state, const Delivery& delivery) {
  const auto first = hedged_.find(delivery.key);
  if (first != hedged_.end() && first->second.sent.link == state.id) hedged_.erase(first);
}

bool DispatchCore::IsHedgedElsewhere(const Delivery& delivery) const {
  return !hedged_.empty() && hedged_.count(delivery.key) > 0;
}

// What the other way has failed is left to the first one where that goes on. True: it does.
bool DispatchCore::GoBackToFirst(const Delivery& delivery, uint64_t tried) {
  if (hedged_.empty()) return false;
  const auto first = hedged_.find(delivery.key);
  if (first == hedged_.end()) return false;
  const Sent sent = first->second.sent;
  hedged_.erase(first);
  LinkState* state = FindLink(sent.link);
  if (state == nullptr || !state->table.Unhedge(sent.token, tried & ~state->bit)) return false;
  tried_.erase(delivery.key);
  if ((tried & ~state->bit) != 0) repeated_[delivery.key] = sent;
  return true;
}

// When a message becomes late; soon, where it has to wait for the budget, or for another link.
int64_t DispatchCore::NextLateNs(int64_t now) const {
  int64_t next = kNever;
  if (!Hedges()) return next;
  for (const auto& state : links_) {
    state->table.LookAtOldest(kMostLookedAt, [&](uint64_t, const Delivery& delivery) {
      const int64_t at = LateAtNs(*state, delivery);
      if (at != kNever) next = std::min(next, at > now ? at : now + kBudgetNs);
      return true;
    });
  }
  return next;
}

}  // namespace viaduct
