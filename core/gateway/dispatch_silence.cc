// What the dispatcher does about a link that owes answers and gives none.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/gateway/dispatch_core.h"

namespace viaduct {
namespace {

// A link is silent when it owes an answer for so many times what was expected, and at least so
// long.
constexpr double kPatienceTimes = 5;
constexpr double kLeastPatienceSeconds = 1;
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
    if (!OtherLinkAnswers(*state, GoesAnotherWay(oldest) ? 0 : oldest.tried, now)) continue;
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
    if (!GoesAnotherWay(*oldest) &&
        (!MayTryAnother(tried) || !OtherLinkAnswers(*state, tried, now) ||
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
    if (at != kNever) next = std::min(next, at > now ? at : now + kBlockedNs);
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

}  // namespace viaduct
