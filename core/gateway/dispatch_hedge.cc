// What the dispatcher does about a message that takes longer on its link than others did: it goes
// another way besides.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/gateway/dispatch_core.h"

namespace viaduct {
namespace {

constexpr size_t kMostHedgedBytes = 64u << 10;
constexpr size_t kMostLookedAt = 16;   // Of what a link has under way.
constexpr size_t kMaxHedged = 65'536;  // Are remembered; forgetting costs one sending more.
constexpr int64_t kNanosPerSecond = 1'000'000'000;

}  // namespace

// A delivery that is hedged was confirmed; where its message is on its way to another link, Assign
// settles it.
void DispatchCore::ConfirmHedged(LinkState* state, const Delivery& delivery) {
  const auto first = hedged_.find(delivery.key);
  if (first == hedged_.end() || repeated_.count(delivery.key) > 0) {
    return ConfirmForAnother(state, delivery);
  }
  first->second.confirmed = true;
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
        !MayTryAnother(delivery.tried | state->bit) || GoesAnotherWay(delivery) ||
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

bool DispatchCore::GoesAnotherWay(const Delivery& delivery) const {
  return delivery.hedged || (!hedged_.empty() && hedged_.count(delivery.key) > 0);
}

bool DispatchCore::WasConfirmedMeanwhile(int64_t key) {
  const auto first = hedged_.find(key);
  if (first == hedged_.end() || !first->second.confirmed) return false;
  const LinkState* state = FindLink(first->second.sent.link);
  if (state == nullptr) return false;
  Count(&state->counters->confirmed);
  hedged_.erase(first);
  tried_.erase(key);
  Settle(key, SettleKind::kConfirmed);
  return true;
}

uint64_t DispatchCore::NotForSecond(int64_t key) {
  const auto first = hedged_.find(key);
  const LinkState* state = first == hedged_.end() ? nullptr : FindLink(first->second.sent.link);
  return state == nullptr ? 0 : NotForHedges(*state);
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
      if (at != kNever) next = std::min(next, at > now ? at : now + kBlockedNs);
      return true;
    });
  }
  return next;
}

}  // namespace viaduct
