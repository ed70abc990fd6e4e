#include "core/gateway/standard_rules.h"

namespace viaduct {
namespace {

constexpr uint64_t kSmallBytes = 1024;
constexpr uint64_t kMiddleBytes = 10'000;
constexpr uint64_t kSmallFileBytes = 1u << 20;
constexpr double kGoodScore = 0.8;
constexpr double kFairScore = 0.5;

// The roads by the names that the original system gave them: instances are called so in its
// configuration, and the plugins behind them.
const char* const kSocket = "websocket";
const char* const kRequest = "rest";
const char* const kBroker = "mqtt";
const char* const kTransfer = "sftp";
const char* const kMirror = "rsync";

SelectionRule Rule(bool is_file, const char* use) {
  SelectionRule rule;
  rule.is_file = is_file;
  rule.use = use;
  return rule;
}

SelectionRule Urgent(SelectionRule rule) {
  rule.priority = Priority::kHigh;
  return rule;
}

SelectionRule Below(uint64_t bytes, SelectionRule rule) {
  rule.below_bytes = bytes;
  return rule;
}

SelectionRule IfGood(SelectionRule rule) {
  rule.quality = LinkQuality::kGood;
  return rule;
}

SelectionRule IfScored(double score, SelectionRule rule) {
  rule.score = score;
  return rule;
}

std::vector<SelectionRule> FileRules() {
  return {
      Urgent(Rule(true, kTransfer)),
      Below(kSmallFileBytes, IfGood(Rule(true, kTransfer))),
      Rule(true, kMirror),
  };
}

RuleSelector::Options WithFiles(std::vector<SelectionRule> rules) {
  RuleSelector::Options options;
  options.rules = FileRules();
  options.rules.insert(options.rules.end(), rules.begin(), rules.end());
  options.fallback = StandardFallback();
  return options;
}

}  // namespace

FallbackOrder StandardFallback() {
  return {
      {kSocket, {kRequest, kBroker}}, {kRequest, {kBroker, kSocket}},
      {kBroker, {kRequest, kSocket}}, {kTransfer, {kMirror}},
      {kMirror, {kTransfer}},
  };
}

RuleSelector::Options SizePriorityRules() {
  return WithFiles({
      Urgent(IfGood(Rule(false, kSocket))),
      Urgent(Rule(false, kBroker)),
      Below(kSmallBytes, IfGood(Rule(false, kSocket))),
      Below(kMiddleBytes, Rule(false, kRequest)),
      Rule(false, kBroker),
  });
}

RuleSelector::Options ConnectivityScoreRules() {
  return WithFiles({
      IfScored(kGoodScore, Rule(false, kSocket)),
      IfScored(kFairScore, Rule(false, kRequest)),
      Rule(false, kBroker),
  });
}

}  // namespace viaduct
