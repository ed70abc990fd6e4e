#include "core/gateway/adaptive_selector.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

constexpr double kMsPerSecond = 1e3;
constexpr double kNanosPerMs = 1e6;
constexpr double kBytesPerMb = 1e6;

bool ClearlyBetter(double candidate, double present, double share, double at_least) {
  return candidate < present * share && candidate + at_least < present;
}

const LinkView* ReadyLink(std::string_view name, absl::Span<const LinkView> links) {
  for (const LinkView& link : links) {
    if (link.name == name) return link.ready ? &link : nullptr;
  }
  return nullptr;
}

}  // namespace

double AdaptiveSelector::PriceMs(const SelectorMessage& message, const LinkView& link) const {
  if (message.priority == Priority::kHigh) return 0;
  const double mb = static_cast<double>(message.bytes) / kBytesPerMb;
  const double price =
      link.cost_per_mb * mb * options_.cost_ms + (link.metered ? options_.metered_ms : 0);
  return message.priority == Priority::kLow ? price * options_.low_priority : price;
}

AdaptiveSelector::Load AdaptiveSelector::LoadOf(const SelectorMessage& message,
                                                const LinkView& link) {
  const LinkModel& model = *link.model;
  const auto ahead = static_cast<uint64_t>(model.usual_ahead());
  const uint64_t all = message.bytes + ahead;
  return {ahead, (model.ExpectedSeconds(all) - model.ExpectedSeconds(message.bytes)) * kMsPerSecond,
          (model.LastingSeconds(all) - model.LastingSeconds(message.bytes)) * kMsPerSecond};
}

// Of a link that never had as much under way it is not known what that costs: as much as on the
// preferred one.
AdaptiveSelector::Costs AdaptiveSelector::CostsOf(const SelectorMessage& message,
                                                  const LinkView& link, const Load& load) const {
  const LinkModel& model = *link.model;
  const double idle_ms = model.ExpectedSeconds(message.bytes) * kMsPerSecond;
  double loaded_ms = model.ExpectedSeconds(message.bytes + link.in_flight_bytes) * kMsPerSecond;
  const double silent_ms = static_cast<double>(link.silent_ns) / kNanosPerMs;
  if (silent_ms > loaded_ms * options_.silence + options_.silence_ms) loaded_ms += silent_ms;
  double usual_ms = model.ExpectedSeconds(message.bytes + load.bytes) * kMsPerSecond;
  double lasting_ms = model.LastingSeconds(message.bytes + load.bytes) * kMsPerSecond;
  if (model.most_ahead() < static_cast<double>(load.bytes)) {
    const double lasting_idle_ms = model.LastingSeconds(message.bytes) * kMsPerSecond;
    usual_ms = std::max(usual_ms, idle_ms + load.quick_ms);
    lasting_ms = std::max(lasting_ms, lasting_idle_ms + load.lasting_ms);
  }
  const double price_ms = PriceMs(message, link);
  return {idle_ms + price_ms, loaded_ms + price_ms, usual_ms + price_ms, lasting_ms + price_ms};
}

bool AdaptiveSelector::MayExplore(const SelectorMessage& message, const LinkView& link) const {
  const int64_t passed_ns = message.now_ns - explored_ns_;
  const bool unknown = link.returning || !link.model->confirmed();
  const bool uncertain = !link.model->certain() && since_explored_ >= options_.explore_every;
  if (unknown || uncertain) return explored_ns_ == 0 || passed_ns >= options_.explore_new_ns;
  if (explored_ns_ != 0 && passed_ns < options_.explore_ns) return false;
  return link.measured_ns == 0 || message.now_ns - link.measured_ns >= options_.explore_ns;
}

int AdaptiveSelector::ToExplore(const SelectorMessage& message, absl::Span<const LinkView> links,
                                int preferred) const {
  if (message.priority == Priority::kHigh || message.bytes > options_.explore_bytes)
    return Choice::kNone;
  for (size_t i = 0; i < links.size(); ++i) {
    const LinkView& link = links[i];
    if (static_cast<int>(i) == preferred || link.metered || link.in_flight > 0 ||
        !IsCandidate(message, links, i))
      continue;
    if (MayExplore(message, link)) return static_cast<int>(i);
  }
  return Choice::kNone;
}

bool AdaptiveSelector::IsNoWorse(const Costs& left, const Costs& present) {
  return left.usual_ms <= present.usual_ms && left.lasting_ms <= present.lasting_ms;
}

// A great difference counts at once, a small one where it lasts: a few that were lucky say little.
bool AdaptiveSelector::IsWorthAChange(const SelectorMessage& message, const LinkModel& model,
                                      const Costs& best, const Costs& present) const {
  if (!ClearlyBetter(best.usual_ms, present.usual_ms, options_.better, options_.better_ms))
    return false;
  if (best.usual_ms < present.usual_ms * options_.much_better) return true;
  if (!model.certain()) return false;
  const double doubt_ms = model.LastingDoubtSeconds(message.bytes) * kMsPerSecond;
  return ClearlyBetter(best.lasting_ms + doubt_ms, present.lasting_ms, options_.lasting_better,
                       options_.better_ms);
}

bool AdaptiveSelector::MayChange(const SelectorMessage& message,
                                 const Preference& preference) const {
  if (message.now_ns - preference.since_ns < options_.settle_ns) return false;
  return preference.chosen_ns == 0 || message.now_ns - preference.chosen_ns >= options_.dwell_ns;
}

// What has waited goes on waiting for the link it prefers, or while it prefers none that works for
// the cheapest that does, rather than pay more for another. What is live pays any price.
double AdaptiveSelector::MostMs(const SelectorMessage& message,
                                absl::Span<const LinkView> links) const {
  double least_ms = std::numeric_limits<double>::infinity();
  if (!message.backlog) return least_ms;
  const LinkView* const there = ReadyLink(preferences_[MessageKind(message)].link, links);
  if (there != nullptr) return PriceMs(message, *there);
  for (const LinkView& link : links) {
    if (link.ready) least_ms = std::min(least_ms, PriceMs(message, link));
  }
  return least_ms;
}

// A new one where no link is left that the message pays for.
SelectorMessage AdaptiveSelector::RoundOf(const SelectorMessage& message, double most_ms,
                                          absl::Span<const LinkView> links) const {
  SelectorMessage round = message;
  for (size_t i = 0; i < links.size(); ++i) {
    if (IsCandidate(message, links, i) && PriceMs(message, links[i]) <= most_ms) return round;
  }
  round.tried = 0;
  return round;
}

size_t AdaptiveSelector::RoomForBacklog(absl::Span<const LinkView> links) const {
  size_t most = 0;
  for (size_t kind = 0; kind < kMessageKinds; ++kind) {
    SelectorMessage message = SmallestOfKind(kind);
    if (message.priority == Priority::kHigh) continue;  // Is never backlog.
    message.backlog = true;
    const double most_ms = MostMs(message, links);
    size_t room = 0;
    for (const LinkView& link : links) {
      if (PriceMs(message, link) <= most_ms) room += link.backlog_room;
    }
    most = std::max(most, room);
  }
  return most;
}

AdaptiveSelector::Decision AdaptiveSelector::Decide(const SelectorMessage& message, double most_ms,
                                                    absl::Span<const LinkView> links) const {
  const Preference& preference = preferences_[MessageKind(message)];
  int preferred = Choice::kNone;
  int best = Choice::kNone;     // Usually.
  int soonest = Choice::kNone;  // As things are.
  int left = Choice::kNone;     // For the preferred one.
  const LinkView* const there = ReadyLink(preference.link, links);
  const Load load = there == nullptr ? Load() : LoadOf(message, *there);
  Costs preferred_costs;
  Costs best_costs;
  Costs soonest_costs;
  Costs left_costs;
  for (size_t i = 0; i < links.size(); ++i) {
    if (!IsCandidate(message, links, i) || PriceMs(message, links[i]) > most_ms) continue;
    const Costs costs = CostsOf(message, links[i], load);
    const int index = static_cast<int>(i);
    if (links[i].name == preference.link) preferred = index, preferred_costs = costs;
    if (links[i].name == preference.left) left = index, left_costs = costs;
    if (best == Choice::kNone || costs.usual_ms < best_costs.usual_ms)
      best = index, best_costs = costs;
    if (soonest == Choice::kNone || costs.loaded_ms < soonest_costs.loaded_ms) {
      soonest = index, soonest_costs = costs;
    }
  }
  if (best == Choice::kNone) return {};
  if (preferred == Choice::kNone) {
    // Full for a moment, or failed for this message only: that is no reason to prefer another.
    if (there != nullptr) return {soonest, Why::kUnavailable, false};
    return {best, preference.link.empty() ? Why::kBest : Why::kUnavailable, true};
  }
  const int explored = ToExplore(message, links, preferred);
  if (explored != Choice::kNone) return {explored, Why::kExplore, false};
  if (MayChange(message, preference)) {
    const auto returns = [&](int link) { return links[static_cast<size_t>(link)].returning; };
    if (left != Choice::kNone && !returns(left) && IsNoWorse(left_costs, preferred_costs))
      return {left, Why::kBest, true};
    const LinkModel& model = *links[static_cast<size_t>(best)].model;
    if (!returns(best) && IsWorthAChange(message, model, best_costs, preferred_costs))
      return {best, Why::kBest, true};
  }
  const bool loaded = ClearlyBetter(preferred_costs.idle_ms, preferred_costs.loaded_ms,
                                    options_.spill, options_.better_ms);
  if (loaded && ClearlyBetter(soonest_costs.loaded_ms, preferred_costs.loaded_ms, options_.spill,
                              options_.better_ms)) {
    return {soonest, Why::kSpill, false};
  }
  return {preferred, Why::kPreferred, false};
}

Choice AdaptiveSelector::Pick(const SelectorMessage& message, absl::Span<const LinkView> links) {
  const double most_ms = MostMs(message, links);
  const Decision decision = Decide(RoundOf(message, most_ms, links), most_ms, links);
  if (decision.link == Choice::kNone) return {};
  ++since_explored_;
  if (decision.why == Why::kExplore) explored_ns_ = message.now_ns, since_explored_ = 0;
  if (decision.changes) {
    Preference& preference = preferences_[MessageKind(message)];
    const bool first = preference.link.empty();
    preference.left = decision.why == Why::kUnavailable ? preference.link : "";
    preference.link.assign(links[static_cast<size_t>(decision.link)].name);
    preference.since_ns = first ? message.now_ns - options_.settle_ns : message.now_ns;
    if (decision.why == Why::kBest && !first) preference.chosen_ns = message.now_ns;
  }
  return {decision.link, !decision.changes && decision.why != Why::kPreferred};
}

std::string AdaptiveSelector::Reason(Why why, const std::string& preferred) {
  switch (why) {
    case Why::kNone:
      break;
    case Why::kBest:
      return "expected to be confirmed soonest, cost included";
    case Why::kPreferred:
      return "preferred for this priority and size, and no other is clearly better";
    case Why::kUnavailable:
      return absl::StrCat(preferred, " is preferred and cannot take it now");
    case Why::kSpill:
      return absl::StrCat(preferred,
                          " is preferred and has so much under way, or says nothing for so long, "
                          "that this one will confirm sooner");
    case Why::kExplore:
      return "to learn how it is now: nothing was heard of it for long";
  }
  return "";
}

Explanation AdaptiveSelector::Explain(const SelectorMessage& message,
                                      absl::Span<const LinkView> links) const {
  const double most_ms = MostMs(message, links);
  const SelectorMessage round = RoundOf(message, most_ms, links);
  const Decision decision = Decide(round, most_ms, links);
  Explanation out = ExplanationOf(round, links, decision.link,
                                  Reason(decision.why, preferences_[MessageKind(message)].link));
  for (size_t i = 0; i < links.size(); ++i) {
    LinkVerdict& verdict = out.links[i];
    verdict.price_ms = PriceMs(round, links[i]);
    if (!verdict.eligible || verdict.price_ms <= most_ms) continue;
    verdict.eligible = false;
    verdict.why = "costs more than the backlog pays";
  }
  return out;
}

}  // namespace viaduct
