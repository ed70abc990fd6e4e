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

// The first rule that holds names the link; while that can not take the message the fallback order
// of the link goes before the order of the configuration.
class RuleSelector final : public Selector {
 public:
  struct Options {
    std::vector<SelectionRule> rules;
    std::map<std::string, std::vector<std::string>, std::less<>> fallback;  // Names as in `use`.
    bool falls_back = true;  // false: a message waits for the link that its rule names.
    bool measured = true;    // false: every link passes for a good one.
  };
  explicit RuleSelector(Options options) : options_(std::move(options)) {}

  Choice Pick(const SelectorMessage& message, absl::Span<const LinkView> links) override;
  Explanation Explain(const SelectorMessage& message,
                      absl::Span<const LinkView> links) const override;

 private:
  struct Found {
    Choice choice;
    const SelectionRule* rule = nullptr;  // That names where to begin; null: none holds.
    bool fallen_back = false;
  };
  Found Find(const SelectorMessage& message, absl::Span<const LinkView> links) const;
  int FallBack(const SelectionRule& rule, const SelectorMessage& message,
               absl::Span<const LinkView> links) const;

  const Options options_;
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
