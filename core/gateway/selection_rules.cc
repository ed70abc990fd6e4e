#include "core/gateway/selection_rules.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

constexpr double kRemember = 0.999;  // Of the picks so far, at each pick.
constexpr double kForgotten = 1e-6;

bool Names(std::string_view use, const LinkView& link) {
  return use == link.name || use == link.plugin;
}

bool HoldsFor(const SelectionRule& rule, const SelectorMessage& message) {
  if (rule.priority.has_value() && *rule.priority != message.priority) return false;
  if (rule.is_file.has_value() && *rule.is_file != message.is_file) return false;
  return rule.below_bytes == 0 || message.bytes < rule.below_bytes;
}

int FirstCandidate(std::string_view use, const SelectorMessage& message,
                   absl::Span<const LinkView> links) {
  for (size_t i = 0; i < links.size(); ++i) {
    if ((use.empty() || Names(use, links[i])) && IsCandidate(message, links, i)) {
      return static_cast<int>(i);
    }
  }
  return Choice::kNone;
}

}  // namespace

RuleSelector::Standing RuleSelector::StandingOf(const SelectionRule& rule,
                                                absl::Span<const LinkView> links, size_t index,
                                                int64_t now_ns) {
  const LinkView& link = links[index];
  std::vector<Trial>& trials = trials_[static_cast<size_t>(&rule - options_.rules.data())];
  if (trials.size() <= index) trials.resize(links.size());
  Trial& trial = trials[index];
  if (trial.link != link.name) trial = Trial{std::string(link.name)};
  const bool good =
      !options_.measured || (link.quality >= rule.quality && link.score >= rule.score);
  if (good && link.ready) {
    if (trial.does_ns == 0) trial.does_ns = now_ns;
    const bool trusted = now_ns - trial.does_ns >= options_.return_ns;
    if (trial.left != Standing::kDoes && !trusted) {
      return trial.left == Standing::kPoor ? Standing::kPoor : Standing::kReadyLately;
    }
    trial.did = true;
    trial.left = Standing::kDoes;
    return Standing::kDoes;
  }
  const Standing standing = good ? Standing::kNotReady : Standing::kPoor;
  if (trial.did) trial.left = standing;
  trial.does_ns = 0;
  return standing;
}

// Whether the rule names where to begin. Then found->choice is that link, if it can take it.
bool RuleSelector::Try(const SelectionRule& rule, const SelectorMessage& message,
                       absl::Span<const LinkView> links, Found* found) {
  bool names = false;
  for (size_t i = 0; i < links.size() && found->choice.link == Choice::kNone; ++i) {
    if (!Names(rule.use, links[i])) continue;
    const Standing standing = StandingOf(rule, links, i, message.now_ns);
    if (standing == Standing::kPoor) continue;
    names = true;
    const bool lately = standing == Standing::kReadyLately && options_.falls_back;
    found->on_trial = found->on_trial || lately;
    if (lately) continue;
    if (IsCandidate(message, links, i)) {
      found->choice.link = static_cast<int>(i);
    } else {
      found->choice.momentary = found->choice.momentary || links[i].ready;
    }
  }
  return names;
}

RuleSelector::Found RuleSelector::Find(const SelectorMessage& message,
                                       absl::Span<const LinkView> links) {
  Found found;
  for (const SelectionRule& rule : options_.rules) {
    if (!HoldsFor(rule, message) || !Try(rule, message, links, &found)) continue;
    found.rule = &rule;
    break;
  }
  if (found.choice.link != Choice::kNone) return found;
  found.fallen_back = true;
  if (found.rule != nullptr && !options_.falls_back) return found;
  if (found.rule != nullptr) found.choice.link = FallBack(*found.rule, message, links);
  if (found.choice.link == Choice::kNone) found.choice.link = FirstCandidate("", message, links);
  return found;
}

int RuleSelector::FallBack(const SelectionRule& rule, const SelectorMessage& message,
                           absl::Span<const LinkView> links) const {
  const auto order = options_.fallback.find(rule.use);
  if (order == options_.fallback.end()) return Choice::kNone;
  for (const std::string& use : order->second) {
    const int link = FirstCandidate(use, message, links);
    if (link != Choice::kNone) return link;
  }
  return Choice::kNone;
}

std::string RuleSelector::FallbackOf(const std::string& use) const {
  const auto order = options_.fallback.find(use);
  if (!options_.falls_back || order == options_.fallback.end()) return "";
  return absl::StrCat("; it falls back to ", absl::StrJoin(order->second, ", "));
}

Choice RuleSelector::Pick(const SelectorMessage& message, absl::Span<const LinkView> links) {
  return Find(WithFreshRound(message, links), links).choice;
}

Explanation RuleSelector::Explain(const SelectorMessage& message,
                                  absl::Span<const LinkView> links) const {
  const SelectorMessage round = WithFreshRound(message, links);
  RuleSelector as_now = *this;
  const Found found = as_now.Find(round, links);
  std::string why = "no rule holds: the first of the configuration that can take it";
  if (found.rule != nullptr) {
    why = absl::StrCat("rule ", found.rule - as_now.options_.rules.data() + 1);
    if (found.fallen_back) {
      absl::StrAppend(
          &why, " says ", found.rule->use,
          found.on_trial ? ", which is back but not for long enough" : ", which cannot take it",
          FallbackOf(found.rule->use));
    }
  }
  Explanation out = ExplanationOf(round, links, found.choice.link, std::move(why));
  for (size_t i = 0; i < links.size(); ++i) {
    absl::StrAppend(&out.links[i].why, out.links[i].why.empty() ? "" : ", ", "quality ",
                    AbslView(LinkQualityName(links[i].quality)), ", score ", links[i].score);
  }
  return out;
}

// A link that is new has not missed anything: it is one behind the one that was used least.
double BalancingSelector::used(const LinkView& link) const {
  const auto it = used_.find(link.name);
  if (it != used_.end()) return it->second;
  double least = 0;
  for (const auto& [name, times] : used_) least = least == 0 ? times : std::min(least, times);
  return std::max(least - 1, 0.0);
}

int BalancingSelector::Find(const SelectorMessage& message,
                            absl::Span<const LinkView> links) const {
  int best = Choice::kNone;
  double least = 0;
  for (size_t i = 0; i < links.size(); ++i) {
    if (!IsCandidate(message, links, i)) continue;
    const LinkView& link = links[i];
    const double cost = message.priority == Priority::kHigh && link.model != nullptr
                            ? link.model->ExpectedSeconds(message.bytes + link.in_flight_bytes)
                            : used(link);
    if (best != Choice::kNone && cost >= least) continue;
    best = static_cast<int>(i);
    least = cost;
  }
  return best;
}

Choice BalancingSelector::Pick(const SelectorMessage& message, absl::Span<const LinkView> links) {
  const int pick = Find(WithFreshRound(message, links), links);
  if (pick == Choice::kNone) return {};
  const LinkView& link = links[static_cast<size_t>(pick)];
  for (auto it = used_.begin(); it != used_.end();) {
    it->second *= kRemember;
    it = it->second < kForgotten ? used_.erase(it) : std::next(it);
  }
  const double before = used(link);
  used_.insert_or_assign(std::string(link.name), before + 1);
  return {pick, true};
}

Explanation BalancingSelector::Explain(const SelectorMessage& message,
                                       absl::Span<const LinkView> links) const {
  const SelectorMessage round = WithFreshRound(message, links);
  Explanation out = ExplanationOf(
      round, links, Find(round, links),
      message.priority == Priority::kHigh ? "the fastest for its size" : "the least used");
  for (size_t i = 0; i < links.size(); ++i) {
    absl::StrAppend(&out.links[i].why, out.links[i].why.empty() ? "" : ", ", "used ",
                    used(links[i]), " times lately");
  }
  return out;
}

}  // namespace viaduct
