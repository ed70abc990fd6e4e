// Every line of the rule sets as a table.
#include "core/gateway/selector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <vector>

#include "core/gateway/scripted_views.h"
#include "core/gateway/selection_rules.h"
#include "core/gateway/standard_rules.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;

constexpr LinkQuality kUnknown = LinkQuality::kUnknown;
constexpr LinkQuality kPoor = LinkQuality::kPoor;
constexpr LinkQuality kFair = LinkQuality::kFair;
constexpr LinkQuality kGood = LinkQuality::kGood;
constexpr LinkQuality kExcellent = LinkQuality::kExcellent;

// The links of the original system.
Links AllFive() {
  Links links;
  for (const char* name : {"websocket", "rest", "mqtt", "sftp", "rsync"}) links.Add(name);
  return links;
}

struct SizePriorityRow {
  size_t bytes;
  Priority priority;
  LinkQuality websocket;
  std::string expected;
};

TEST(SizePriorityTest, EveryLineOfTheMetadataRules) {
  const SizePriorityRow rows[] = {
      {500, Priority::kHigh, kExcellent, "websocket"},
      {500, Priority::kHigh, kGood, "websocket"},
      {500, Priority::kHigh, kFair, "mqtt"},
      {500, Priority::kHigh, kPoor, "mqtt"},
      {500, Priority::kHigh, kUnknown, "mqtt"},
      {5'000'000, Priority::kHigh, kGood, "websocket"},
      {5'000'000, Priority::kHigh, kFair, "mqtt"},
      {1023, Priority::kNormal, kGood, "websocket"},
      {1023, Priority::kNormal, kExcellent, "websocket"},
      {1023, Priority::kNormal, kFair, "rest"},
      {1023, Priority::kLow, kGood, "websocket"},
      {1023, Priority::kNormal, kUnknown, "rest"},
      {1024, Priority::kNormal, kExcellent, "rest"},
      {9999, Priority::kNormal, kPoor, "rest"},
      {9999, Priority::kLow, kExcellent, "rest"},
      {10'000, Priority::kNormal, kExcellent, "mqtt"},
      {10'000'000, Priority::kLow, kPoor, "mqtt"},
  };
  for (const SizePriorityRow& row : rows) {
    Links links = AllFive();
    links["websocket"].quality = row.websocket;
    RuleSelector selector(SizePriorityRules());
    EXPECT_EQ(Picked(&selector, Message(row.bytes, row.priority), links), row.expected)
        << row.bytes << " bytes, " << PriorityName(row.priority) << ", "
        << LinkQualityName(row.websocket);
  }
}

TEST(SizePriorityTest, EveryLineOfTheFileRules) {
  struct Row {
    size_t bytes;
    Priority priority;
    LinkQuality sftp;
    std::string expected;
  };
  const Row rows[] = {
      {100, Priority::kHigh, kPoor, "sftp"},
      {100u << 20, Priority::kHigh, kUnknown, "sftp"},
      {(1u << 20) - 1, Priority::kNormal, kGood, "sftp"},
      {(1u << 20) - 1, Priority::kNormal, kFair, "rsync"},
      {(1u << 20) - 1, Priority::kLow, kUnknown, "rsync"},
      {1u << 20, Priority::kNormal, kExcellent, "rsync"},
      {1u << 30, Priority::kLow, kPoor, "rsync"},
  };
  for (const Row& row : rows) {
    Links links = AllFive();
    links["sftp"].quality = row.sftp;
    RuleSelector selector(SizePriorityRules());
    SelectorMessage file = Message(row.bytes, row.priority);
    file.is_file = true;
    EXPECT_EQ(Picked(&selector, file, links), row.expected) << row.bytes;
  }
}

TEST(ConnectivityScoreTest, EveryLineOfTheRules) {
  struct Row {
    double websocket;
    double rest;
    std::string expected;
  };
  const Row rows[] = {{1, 1, "websocket"}, {0.8, 0, "websocket"}, {0.79, 0.5, "rest"},
                      {0.5, 0.9, "rest"},  {0.79, 0.49, "mqtt"},  {0, 0, "mqtt"}};
  for (const Row& row : rows) {
    Links links = AllFive();
    links["websocket"].score = row.websocket;
    links["rest"].score = row.rest;
    RuleSelector selector(ConnectivityScoreRules());
    EXPECT_EQ(Picked(&selector, Message(2000), links), row.expected)
        << row.websocket << " " << row.rest;
  }
}

TEST(FallbackTest, EveryLineOfTheOrder) {
  struct Row {
    std::vector<std::string> down;
    bool is_file;
    size_t bytes;
    std::string expected;
  };
  const Row rows[] = {
      {{"websocket"}, false, 100, "rest"}, {{"websocket", "rest"}, false, 100, "mqtt"},
      {{"rest"}, false, 5000, "mqtt"},     {{"rest", "mqtt"}, false, 5000, "websocket"},
      {{"mqtt"}, false, 50'000, "rest"},   {{"mqtt", "rest"}, false, 50'000, "websocket"},
      {{"sftp"}, true, 100, "rsync"},      {{"rsync"}, true, 5u << 20, "sftp"},
  };
  for (const Row& row : rows) {
    Links links = AllFive();
    links["websocket"].quality = kGood;
    links["sftp"].quality = kGood;
    for (const std::string& name : row.down) links[name].ready = false;
    RuleSelector selector(SizePriorityRules());
    SelectorMessage message = Message(row.bytes);
    message.is_file = row.is_file;
    EXPECT_EQ(Picked(&selector, message, links), row.expected) << row.bytes << row.down.front();
  }
}

TEST(FallbackTest, TheConfigurationMayNameAnotherOrder) {
  struct Row {
    std::vector<std::string> down;
    size_t bytes;
    std::string expected;
  };
  const Row rows[] = {
      {{"mqtt"}, 50'000, "websocket"},
      {{"mqtt", "websocket"}, 50'000, "rest"},  // The order of the links.
      {{"rest"}, 5'000, "websocket"},           // The same: it names none for rest.
  };
  for (const Row& row : rows) {
    Links links = AllFive();
    for (const std::string& name : row.down) links[name].ready = false;
    RuleSelector::Options options = SizePriorityRules();
    options.fallback = {{"mqtt", {"websocket"}}};
    RuleSelector selector(options);
    EXPECT_EQ(Picked(&selector, Message(row.bytes), links), row.expected) << row.down.front();
  }
}

TEST(FallbackTest, WhatFailedOnOneGoesToTheNextAndThenBegins) {
  Links links = AllFive();
  links.views.resize(3);
  links["websocket"].quality = kGood;
  RuleSelector selector(SizePriorityRules());
  SelectorMessage message = Message(100);
  message.attempts = 1;
  message.tried = 0b001;
  EXPECT_EQ(Picked(&selector, message, links), "rest");
  message.tried = 0b011;
  EXPECT_EQ(Picked(&selector, message, links), "mqtt");
  message.tried = 0b111;
  EXPECT_EQ(Picked(&selector, message, links), "websocket");
}

// Which link small messages take, second by second, for what their websocket is.
struct SwitchingRow {
  const char* what;
  std::string websocket;  // A letter a second: g(ood), f(air), d(own).
  std::string expected;   // w(ebsocket), r(est), m(qtt).
  Priority priority = Priority::kNormal;
};

std::string Repeated(char letter, size_t times) { return std::string(times, letter); }

TEST(SwitchingTest, FromOneRoadToTheOtherAndBackWithHysteresis) {
  const SwitchingRow rows[] = {
      {"high latency", "ggfff", "wwrrr"},
      {"connection lost", "ggddd", "wwrrr"},
      {"for what is urgent, connection lost", "ggddd", "wwrrr", Priority::kHigh},
      {"for what is urgent, high latency", "ggfff", "wwmmm", Priority::kHigh},
      {"good at last: it was never left", "fffgg", "rrrww"},
      {"recovered", "ggf" + Repeated('g', 32), "wwr" + Repeated('r', 30) + "ww"},
      {"connected again", "ggd" + Repeated('g', 32), "wwr" + Repeated('r', 30) + "ww"},
      {"at the boundary", "ggfgfgfgfgfg", "wwrrrrrrrrrr"},
      {"good for a while only", "ggf" + Repeated('g', 20) + "f" + Repeated('g', 20),
       "ww" + Repeated('r', 42)},
  };
  for (const SwitchingRow& row : rows) {
    Links links = AllFive();
    RuleSelector selector(SizePriorityRules());
    std::string taken;
    for (size_t second = 0; second < row.websocket.size(); ++second) {
      links["websocket"].ready = row.websocket[second] != 'd';
      links["websocket"].quality = row.websocket[second] == 'f' ? kFair : kGood;
      SelectorMessage message = Message(100, row.priority);
      message.now_ns = static_cast<int64_t>(second + 1) * kSecond;
      taken += Picked(&selector, message, links).front();
    }
    EXPECT_EQ(taken, row.expected) << row.what;
  }
}

TEST(SwitchingTest, FromRestToMqttAndBackByItsOwnRule) {
  Links links = AllFive();
  RuleSelector selector(SizePriorityRules());
  SelectorMessage message = Message(5'000);
  const auto at = [&](int second, bool ready) {
    links["rest"].ready = ready;
    message.now_ns = second * kSecond;
    return Picked(&selector, message, links);
  };
  EXPECT_EQ(at(1, true), "rest");
  EXPECT_EQ(at(2, false), "mqtt");
  EXPECT_EQ(at(3, true), "mqtt");
  EXPECT_THAT(selector.Explain(message, links.views).why,
              HasSubstr("back but not for long enough; it falls back to mqtt, websocket"));
  links["mqtt"].ready = links["websocket"].ready = links["sftp"].ready = false;
  EXPECT_EQ(at(4, true), "rest") << "there is no other";
  links["mqtt"].ready = true;
  EXPECT_EQ(at(5, true), "mqtt");
  EXPECT_EQ(at(33, true), "rest");
}

TEST(SwitchingTest, AScoreAtItsBoundaryDoesNotFlip) {
  Links links = AllFive();
  RuleSelector selector(ConnectivityScoreRules());
  links["rest"].score = 0.7;
  SelectorMessage message = Message(2'000);
  int switches = 0;
  std::string last;
  for (int second = 1; second <= 600; ++second) {
    links["websocket"].score = second % 7 < 4 ? 0.81 : 0.79;
    message.now_ns = second * kSecond;
    const std::string now = Picked(&selector, message, links);
    switches += !last.empty() && now != last ? 1 : 0;
    last = now;
  }
  EXPECT_EQ(switches, 1);
}

TEST(SwitchingTest, WithoutFallbackAMessageDoesNotWaitForTrust) {
  Links links = AllFive();
  RuleSelector::Options options = SizePriorityRules();
  options.falls_back = false;
  RuleSelector selector(options);
  SelectorMessage message = Message(5'000);
  EXPECT_EQ(Picked(&selector, message, links), "rest");
  links["rest"].ready = false;
  EXPECT_EQ(Picked(&selector, message, links), "");
  links["rest"].ready = true;
  EXPECT_EQ(Picked(&selector, message, links), "rest");
}

TEST(RuleSelectorTest, RulesNameInstancesOrTheirPlugins) {
  Links links;
  links.Add("west").plugin = "rest";
  links.Add("north").plugin = "mqtt";
  RuleSelector selector(SizePriorityRules());
  EXPECT_EQ(Picked(&selector, Message(5000), links), "west");
  EXPECT_EQ(Picked(&selector, Message(50'000), links), "north");
  links["north"].room = 0;
  EXPECT_EQ(Picked(&selector, Message(50'000), links), "west");
  links["west"].ready = false;
  EXPECT_EQ(Picked(&selector, Message(50'000), links), "");
  EXPECT_THAT(selector.Explain(Message(50'000), links.views).links[0].why, HasSubstr("not ready"));
}

TEST(RuleSelectorTest, WithoutFallbackAMessageWaitsForTheLinkOfItsRule) {
  Links links = AllFive();
  RuleSelector::Options options = SizePriorityRules();
  options.falls_back = false;
  RuleSelector selector(options);
  links["rest"].ready = false;
  EXPECT_EQ(Picked(&selector, Message(5000), links), "");
  links["rest"].ready = true;
  EXPECT_EQ(Picked(&selector, Message(5000), links), "rest");
}

TEST(RuleSelectorTest, WithoutMeasuringEveryLinkPassesForAGoodOne) {
  const Links links = AllFive();
  RuleSelector::Options options = SizePriorityRules();
  options.measured = false;
  RuleSelector selector(options);
  EXPECT_EQ(Picked(&selector, Message(100), links), "websocket");
}

TEST(EqualPriorityTest, UrgentMessagesAreLikeTheOthers) {
  const Links links = AllFive();
  EqualPrioritySelector selector(std::make_unique<RuleSelector>(SizePriorityRules()));
  EXPECT_EQ(Picked(&selector, Message(5000, Priority::kHigh), links), "rest");
}

TEST(BalancingTest, OrdinaryMessagesGoWhereLeastWent) {
  Links links;
  for (const char* name : {"a", "b", "c"}) links.Add(name);
  BalancingSelector selector;
  std::map<std::string, int> count;
  for (int i = 0; i < 300; ++i) ++count[Picked(&selector, Message(300), links)];
  EXPECT_EQ(count["a"], 100);
  EXPECT_EQ(count["b"], 100);
  // One that joins late has nothing to make up for.
  links.Add("d");
  count.clear();
  for (int i = 0; i < 400; ++i) ++count[Picked(&selector, Message(300), links)];
  EXPECT_NEAR(count["d"], 100, 40);
}

TEST(BalancingTest, UrgentOnesGoWhereTheyAreFastestForTheirSize) {
  Links links;
  links.Add("narrow");
  links.Add("wide");
  links.Teach("narrow", 0.01, 10);
  links.Teach("wide", 0.2, 0.1);
  BalancingSelector selector;
  EXPECT_EQ(Picked(&selector, Message(100, Priority::kHigh), links), "narrow");
  EXPECT_EQ(Picked(&selector, Message(500'000, Priority::kHigh), links), "wide");
}

TEST(BalancingTest, EveryLineOfTheRules) {
  struct Row {
    std::vector<std::string> used_before;  // By ordinary messages that only this one could take.
    std::string down;
    Priority priority;
    size_t bytes;
    std::string expected;
  };
  const Row rows[] = {
      {{}, "", Priority::kNormal, 300, "narrow"},  // None was used: the first.
      {{"narrow"}, "", Priority::kNormal, 300, "wide"},
      {{"narrow", "wide"}, "", Priority::kNormal, 300, "spare"},
      {{"narrow", "wide", "spare", "narrow"}, "", Priority::kLow, 300, "wide"},
      {{"narrow"}, "wide", Priority::kNormal, 300, "spare"},
      {{"narrow", "narrow", "narrow"}, "", Priority::kHigh, 100, "narrow"},  // The fastest,
      {{"wide", "wide", "wide"}, "", Priority::kHigh, 500'000, "wide"},      // for its size.
      {{}, "narrow", Priority::kHigh, 100, "wide"},
  };
  for (const Row& row : rows) {
    Links links;
    for (const char* name : {"narrow", "wide", "spare"}) links.Add(name);
    links.Teach("narrow", 0.01, 10);
    links.Teach("wide", 0.2, 0.1);
    links.Teach("spare", 3, 3);
    BalancingSelector selector;
    for (const std::string& only : row.used_before) {
      for (LinkView& view : links.views) view.ready = view.name == only;
      EXPECT_EQ(Picked(&selector, Message(300), links), only);
    }
    for (LinkView& view : links.views) view.ready = view.name != row.down;
    EXPECT_EQ(Picked(&selector, Message(row.bytes, row.priority), links), row.expected)
        << row.used_before.size() << " " << row.down << " " << PriorityName(row.priority);
  }
}

TEST(LinkQualityTest, EveryLineOfTheTable) {
  struct Row {
    int latency_ms;
    double loss;
    LinkQuality expected;
  };
  const Row rows[] = {{10, 0, kExcellent}, {49, 0.009, kExcellent}, {50, 0, kGood},
                      {10, 0.01, kGood},   {99, 0.049, kGood},      {100, 0, kFair},
                      {10, 0.05, kFair},   {199, 0.099, kFair},     {200, 0, kPoor},
                      {10, 0.1, kPoor}};
  for (const Row& row : rows) {
    const std::vector<LinkMeasurement> history(
        3, {absl::Milliseconds(row.latency_ms), row.loss, true});
    EXPECT_EQ(QualityOf(history), row.expected) << row.latency_ms << " ms, " << row.loss;
  }
  EXPECT_EQ(QualityOf({}), kUnknown);
  EXPECT_EQ(QualityOf({{absl::ZeroDuration(), 1, false}}), kPoor);
}

TEST(LinkQualityTest, OnlyTheLastTenCount) {
  std::vector<LinkMeasurement> history(90, {absl::Seconds(5), 0.5, true});
  history.insert(history.end(), 10, {absl::Milliseconds(10), 0, true});
  EXPECT_EQ(QualityOf(history), kExcellent);
}

TEST(ConnectivityScoreTest, GrowsWithEachPart) {
  const LinkFacts best{4e6, absl::Milliseconds(20), 0, 1};
  EXPECT_DOUBLE_EQ(ConnectivityScore(best), 1);
  EXPECT_DOUBLE_EQ(ConnectivityScore({4e3, absl::Seconds(2), 0.2, 0}), 0);
  LinkFacts worse = best;
  worse.latency = absl::Milliseconds(200);
  EXPECT_LT(ConnectivityScore(worse), 1);
  worse = best;
  worse.loss = 0.1;
  EXPECT_NEAR(ConnectivityScore(worse), 0.85, 1e-9);
  worse = best;
  worse.uptime = 0.5;
  EXPECT_NEAR(ConnectivityScore(worse), 0.9, 1e-9);
  worse = best;
  worse.bytes_per_second = 0;
  EXPECT_NEAR(ConnectivityScore(worse), 0.9, 1e-9);
}

}  // namespace
}  // namespace viaduct
