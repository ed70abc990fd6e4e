// Rule sets as tables: which link a message prefers, and where it goes when that one fails.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/gateway/selector.h"

namespace viaduct {

// One line of a rule set. Every condition that is given must hold.
struct SelectionRule {
  std::optional<Priority> priority;
  std::optional<bool> is_file;
  uint64_t below_bytes = 0;                     // 0: any size.
  LinkQuality quality = LinkQuality::kUnknown;  // Of the link that it names, at least.
  double score = 0;                             // The same.
  std::string use;  // Name of a link, or of the plugin behind it: then any link of that plugin.
};

// Where what a link cannot take goes; names as in SelectionRule::use.
using FallbackOrder = std::map<std::string, std::vector<std::string>, std::less<>>;

// The first rule that holds names the link; while that can not take the message the fallback order
// of the link goes before the order of the configuration. A link that was left, because it was not
// ready or no longer as good as the rule asks, gets messages by that rule again when it has been so
// all the time for a while: one at the boundary is not left and taken up in turns.
class RuleSelector final : public Selector {
 public:
  struct Options {
    std::vector<SelectionRule> rules;
    FallbackOrder fallback;
    bool falls_back = true;              // false: a message waits for the link that its rule names.
    bool measured = true;                // false: every link passes for a good one.
    int64_t return_ns = 30'000'000'000;  // A link that was left must do for so long; 0: at once.
  };
  explicit RuleSelector(Options options)
      : options_(std::move(options)), trials_(options_.rules.size()) {}

  Choice Pick(const SelectorMessage& message, absl::Span<const LinkView> links) override;
  Explanation Explain(const SelectorMessage& message,
                      absl::Span<const LinkView> links) const override;

 private:
  struct Found {
    Choice choice;
    const SelectionRule* rule = nullptr;  // That names where to begin; null: none holds.
    bool fallen_back = false;
    bool on_trial = false;  // Its link would do, but not for long enough.
  };
  enum class Standing : uint8_t {
    kDoes,
    kPoor,  // It is not as good as the rule asks, or not for long enough.
    kNotReady,
    kReadyLately,  // Not for long enough.
  };
  // What a rule knows of the link at one place of the order.
  struct Trial {
    std::string link;
    bool did = false;                 // Ever.
    Standing left = Standing::kDoes;  // Why it was left; kDoes: it was not.
    int64_t does_ns = 0;              // Since when it does again.
  };
  Found Find(const SelectorMessage& message, absl::Span<const LinkView> links);
  bool Try(const SelectionRule& rule, const SelectorMessage& message,
           absl::Span<const LinkView> links, Found* found);
  Standing StandingOf(const SelectionRule& rule, absl::Span<const LinkView> links, size_t index,
                      int64_t now_ns);
  int FallBack(const SelectionRule& rule, const SelectorMessage& message,
               absl::Span<const LinkView> links) const;
  std::string FallbackOf(const std::string& use) const;  // For people.

  const Options options_;
  std::vector<std::vector<Trial>> trials_;  // By rule, then by place of the link.
};

// Spreads the load: a message of high priority takes the fastest for its size, the others take the
// link that was used least lately.
class BalancingSelector final : public Selector {
 public:
  Choice Pick(const SelectorMessage& message, absl::Span<const LinkView> links) override;
  Explanation Explain(const SelectorMessage& message,
                      absl::Span<const LinkView> links) const override;

 private:
  int Find(const SelectorMessage& message, absl::Span<const LinkView> links) const;
  double used(const LinkView& link) const;

  std::map<std::string, double, std::less<>> used_;  // Picks, the older the less; by link.
};

}  // namespace viaduct
