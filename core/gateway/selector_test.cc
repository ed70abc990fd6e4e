// Every line of the rule sets as a table, and the adaptive choice on scripted links.
#include "core/gateway/selector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <vector>

#include "core/gateway/adaptive_selector.h"
#include "core/gateway/selection_rules.h"
#include "core/gateway/standard_rules.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kSecond = 1'000'000'000;
constexpr LinkQuality kUnknown = LinkQuality::kUnknown;
constexpr LinkQuality kPoor = LinkQuality::kPoor;
constexpr LinkQuality kFair = LinkQuality::kFair;
constexpr LinkQuality kGood = LinkQuality::kGood;
constexpr LinkQuality kExcellent = LinkQuality::kExcellent;

// The five links of the original system, or those that a test adds.
class Links {
 public:
  LinkView& Add(const std::string& name) {
    names_.push_back(std::make_unique<std::string>(name));
    models_.push_back(std::make_unique<LinkModel>());
    LinkView view;
    view.name = *names_.back();
    view.plugin = *names_.back();
    view.ready = true;
    view.room = 100;
    view.model = models_.back().get();
    views.push_back(view);
    return views.back();
  }
  LinkView& operator[](std::string_view name) {
    for (LinkView& view : views) {
      if (view.name == name) return view;
    }
    ADD_FAILURE() << "no link " << name;
    return views.front();
  }
  // As if it had confirmed many messages in this time: `base` and so much for each 100 KB.
  void Teach(std::string_view name, double base, double for_100_kb) {
    for (size_t i = 0; i < views.size(); ++i) {
      if (views[i].name != name) continue;
      for (int n = 0; n < 400; ++n) {
        const uint64_t bytes = n % 2 == 0 ? 0 : 100'000;
        models_[i]->OnConfirmed(bytes, base + (bytes == 0 ? 0 : for_100_kb));
      }
      views[i].measured_ns = kSecond;
    }
  }
  LinkModel* model(size_t index) { return models_[index].get(); }

  std::vector<LinkView> views;

 private:
  std::vector<std::unique_ptr<std::string>> names_;
  std::vector<std::unique_ptr<LinkModel>> models_;
};

Links AllFive() {
  Links links;
  for (const char* name : {"websocket", "rest", "mqtt", "sftp", "rsync"}) links.Add(name);
  return links;
}

SelectorMessage Message(size_t bytes, Priority priority = Priority::kNormal) {
  SelectorMessage message;
  message.bytes = bytes;
  message.priority = priority;
  message.now_ns = 10 * kSecond;
  return message;
}

std::string Picked(Selector* selector, const SelectorMessage& message, const Links& links) {
  const Explanation explained = selector->Explain(message, links.views);
  const int pick = selector->Pick(message, links.views).link;
  const std::string name =
      pick == Choice::kNone ? "" : std::string(links.views[static_cast<size_t>(pick)].name);
  EXPECT_EQ(explained.link, name) << explained.why;
  return name;
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

class AdaptiveTest : public ::testing::Test {
 protected:
  AdaptiveTest() {
    links_.Add("fast");
    links_.Add("wide");
    links_.Teach("fast", 0.02, 5);
    links_.Teach("wide", 0.3, 0.05);
    message_ = Message(300);
    Touch();
  }
  void Touch() {
    for (LinkView& view : links_.views) view.measured_ns = message_.now_ns;
  }
  std::string Pick() { return Picked(&selector_, message_, links_); }
  void Pass(int64_t seconds) {
    message_.now_ns += seconds * kSecond;
    Touch();
  }

  Links links_;
  AdaptiveSelector selector_;
  SelectorMessage message_;
};

TEST_F(AdaptiveTest, EachSizeHasItsOwnBest) {
  EXPECT_EQ(Pick(), "fast");
  message_.bytes = 2'000'000;
  EXPECT_EQ(Pick(), "wide");
  message_.bytes = 300;
  EXPECT_EQ(Pick(), "fast");
}

TEST_F(AdaptiveTest, ChangesAtOnceWhenTheLinkIsGoneAndComesBackButNotOften) {
  ASSERT_EQ(Pick(), "fast");
  Pass(5);
  links_["fast"].ready = false;
  EXPECT_EQ(Pick(), "wide");
  links_["fast"].ready = true;
  Pass(1);
  EXPECT_EQ(Pick(), "wide");
  Pass(2);
  EXPECT_EQ(Pick(), "fast");
  links_["fast"].ready = false;
  EXPECT_EQ(Pick(), "wide") << "again at once";
  links_["fast"].ready = true;
  Pass(25);
  EXPECT_EQ(Pick(), "wide");
  Pass(10);
  EXPECT_EQ(Pick(), "fast");
}

TEST_F(AdaptiveTest, AFirstChoiceThatWasAGuessIsNotKept) {
  Links links;
  links.Add("promising");
  links.Add("good");
  for (size_t i = 0; i < 2; ++i) links.views[i].measured_ns = message_.now_ns;
  links.model(0)->OnProbe(0.005);
  links.model(1)->OnProbe(0.01);
  AdaptiveSelector selector;
  EXPECT_EQ(Picked(&selector, message_, links), "promising");
  EXPECT_EQ(Picked(&selector, message_, links), "good") << "neither ever confirmed: one each";
  links["good"].in_flight = 1;
  EXPECT_EQ(Picked(&selector, message_, links), "promising");
  for (int i = 0; i < 3; ++i) links.model(0)->OnConfirmed(300, 0.5);
  links.model(1)->OnConfirmed(300, 0.02);
  links["good"].in_flight = 0;
  EXPECT_EQ(Picked(&selector, message_, links), "good");
}

TEST_F(AdaptiveTest, OneConfirmationIsNotEnoughToJudgeALink) {
  ASSERT_EQ(Pick(), "fast");
  for (int i = 0; i < 30; ++i) links_.model(1)->OnTime(1);
  links_.model(1)->OnConfirmed(300, 2);
  EXPECT_FALSE(links_.model(1)->certain());
  int explored = 0;
  for (int i = 0; i < 80; ++i) {
    message_.now_ns += kSecond;
    Touch();
    if (Pick() != "wide") continue;
    ++explored;
    links_.model(1)->OnConfirmed(300, 0.03);
  }
  EXPECT_GE(explored, 1);
  EXPECT_LE(explored, 10);
  EXPECT_TRUE(links_.model(1)->certain());
}

TEST_F(AdaptiveTest, SpillsOverWhileTheLinkOwesAnAnswerForLong) {
  ASSERT_EQ(Pick(), "fast");
  links_["fast"].silent_ns = 30'000'000;
  EXPECT_EQ(Pick(), "fast") << "no longer than it may take";
  links_["fast"].silent_ns = 900'000'000;
  EXPECT_EQ(Pick(), "wide");
  EXPECT_THAT(selector_.Explain(message_, links_.views).why, HasSubstr("says nothing"));
  links_["fast"].silent_ns = 0;
  EXPECT_EQ(Pick(), "fast");
}

TEST_F(AdaptiveTest, OneOrdinaryMessageFindsOutWhetherALinkWorksAgain) {
  ASSERT_EQ(Pick(), "fast");
  links_["wide"].returning = true;
  message_.priority = Priority::kHigh;
  EXPECT_EQ(Pick(), "fast") << "not with what is urgent";
  message_.priority = Priority::kNormal;
  EXPECT_EQ(Pick(), "wide");
  EXPECT_EQ(Pick(), "fast") << "and no more for a moment";
}

TEST_F(AdaptiveTest, ALinkThatIsFullForAMomentStaysPreferred) {
  ASSERT_EQ(Pick(), "fast");
  links_["fast"].room = 0;
  EXPECT_EQ(Pick(), "wide");
  links_["fast"].room = 1;
  EXPECT_EQ(Pick(), "fast");
}

TEST_F(AdaptiveTest, GoesBackToWhatItLeftOfNecessityWhenThatIsNoWorse) {
  ASSERT_EQ(Pick(), "fast");
  links_.Teach("wide", 0.022, 5);
  links_["fast"].ready = false;
  EXPECT_EQ(Pick(), "wide");
  links_["fast"].ready = true;
  EXPECT_EQ(Pick(), "wide") << "not within a moment";
  Pass(3);
  EXPECT_EQ(Pick(), "fast");
  links_["fast"].ready = false;
  EXPECT_EQ(Pick(), "wide");
  links_["fast"].ready = true;
  Pass(3);
  EXPECT_EQ(Pick(), "wide") << "not often";
  Pass(30);
  EXPECT_EQ(Pick(), "fast");
}

TEST_F(AdaptiveTest, ALittleBetterIsNoReason) {
  ASSERT_EQ(Pick(), "fast");
  links_.Teach("wide", 0.018, 5);
  Pass(100);
  EXPECT_EQ(Pick(), "fast");
  links_.Teach("wide", 0.002, 5);
  Pass(100);
  EXPECT_EQ(Pick(), "wide");
}

TEST_F(AdaptiveTest, ABadMomentIsNoReasonToChangeAndABadMinuteIs) {
  Links links;
  links.Add("a");
  links.Add("b");
  for (size_t i = 0; i < 2; ++i) {
    for (int j = 0; j < 1'000; ++j) links.model(i)->OnConfirmed(300, i == 0 ? 0.2 : 0.21);
    links.views[i].measured_ns = message_.now_ns;
  }
  const auto confirm = [&](int times, double seconds) {
    for (int i = 0; i < times; ++i) links.model(0)->OnConfirmed(300, seconds);
    message_.now_ns += 40 * kSecond;
    for (LinkView& view : links.views) view.measured_ns = message_.now_ns;
  };
  ASSERT_EQ(Picked(&selector_, message_, links), "a");
  confirm(12, 0.6);
  EXPECT_GT(links.model(0)->ExpectedSeconds(300), 0.27);
  EXPECT_EQ(Picked(&selector_, message_, links), "a");
  confirm(80, 0.6);
  EXPECT_EQ(Picked(&selector_, message_, links), "b");
}

TEST_F(AdaptiveTest, WhatIsQuickOnlyWhileItIsIdleIsLeft) {
  Links links;
  for (const char* name : {"idle", "steady", "unused"}) links.Add(name);
  constexpr uint64_t kAhead = 2'000;
  for (int j = 0; j < 400; ++j) {
    links.model(0)->OnConfirmed(300, 0.5);
    links.model(1)->OnConfirmed(300, 0.54);
    links.model(2)->OnConfirmed(300, 0.52);
    links.model(1)->OnConfirmed(300 + kAhead, 0.56, kAhead);
  }
  ASSERT_EQ(Picked(&selector_, message_, links), "idle");
  for (int j = 0; j < 400; ++j) {
    links.model(0)->OnConfirmed(300 + (j % 4 == 0 ? 0 : kAhead), j % 4 == 0 ? 0.5 : 0.9,
                                j % 4 == 0 ? 0 : kAhead);
  }
  message_.now_ns += 40 * kSecond;
  for (LinkView& view : links.views) view.measured_ns = message_.now_ns;
  EXPECT_EQ(Picked(&selector_, message_, links), "steady") << "the third may be as bad";
}

TEST_F(AdaptiveTest, WhatIsManyTimesAsGoodIsTakenWhateverItWas) {
  Links links;
  links.Add("a");
  links.Add("b");
  for (size_t i = 0; i < 2; ++i) {
    for (int j = 0; j < 1000; ++j) links.model(i)->OnConfirmed(300, i == 0 ? 0.4 : 2);
    links.views[i].measured_ns = message_.now_ns;
  }
  ASSERT_EQ(Picked(&selector_, message_, links), "a");
  for (int j = 0; j < 10; ++j) {
    for (int k = 0; k < 30; ++k) links.model(1)->OnTime(1);
    links.model(1)->OnConfirmed(300, 0.02);
  }
  EXPECT_GT(links.model(1)->LastingSeconds(300), 0.4) << "it has been worse for long";
  message_.now_ns += 40 * kSecond;
  for (LinkView& view : links.views) view.measured_ns = message_.now_ns;
  EXPECT_EQ(Picked(&selector_, message_, links), "b");
}

TEST_F(AdaptiveTest, SteadyLinksThatDifferByNoiseDoNotFlap) {
  Links links;
  links.Add("a");
  links.Add("b");
  int changes = 0;
  std::string last;
  uint32_t noise = 1;
  for (int second = 0; second < 600; ++second) {
    for (size_t i = 0; i < 2; ++i) {
      noise = noise * 1664525 + 1013904223;
      links.model(i)->OnConfirmed(300, 0.1 + 0.03 * (noise >> 24) / 256.0);
      links.views[i].measured_ns = second * kSecond;
    }
    message_.now_ns = second * kSecond;
    const std::string now = Picked(&selector_, message_, links);
    changes += !last.empty() && now != last;
    last = now;
  }
  EXPECT_LE(changes, 600 / 30);
}

TEST_F(AdaptiveTest, SpillsOverWhatWouldWaitTooLong) {
  ASSERT_EQ(Pick(), "fast");
  links_["fast"].in_flight_bytes = 200'000;  // Ten seconds of it.
  EXPECT_EQ(Pick(), "wide");
  EXPECT_THAT(selector_.Explain(message_, links_.views).why, HasSubstr("under way"));
  links_["fast"].in_flight_bytes = 1'000;
  EXPECT_EQ(Pick(), "fast");
}

TEST_F(AdaptiveTest, WhatCostsIsForWhatIsUrgent) {
  links_["fast"].metered = true;
  EXPECT_EQ(Pick(), "wide");
  message_.priority = Priority::kHigh;
  EXPECT_EQ(Pick(), "fast");
  message_.priority = Priority::kLow;
  links_.Teach("wide", 12, 1);
  EXPECT_EQ(Pick(), "wide");
  links_["wide"].ready = false;
  EXPECT_EQ(Pick(), "fast") << "better dear than never";
  Links dear;
  dear.Add("dear").cost_per_mb = 5;
  dear.Add("slow");
  dear.Teach("dear", 0.01, 0.01);
  dear.Teach("slow", 1, 0.05);
  dear["slow"].measured_ns = dear["dear"].measured_ns = message_.now_ns;
  message_.priority = Priority::kNormal;
  AdaptiveSelector selector;
  message_.bytes = 300;
  EXPECT_EQ(Picked(&selector, message_, dear), "dear") << "0.15 of a unit's share of a second";
  message_.bytes = 1'000'000;
  EXPECT_EQ(Picked(&selector, message_, dear), "slow");
}

TEST_F(AdaptiveTest, FailuresMakeALinkSlow) {
  ASSERT_EQ(Pick(), "fast");
  for (int i = 0; i < 30; ++i) links_.model(0)->OnFailed(2);
  Pass(60);
  EXPECT_EQ(Pick(), "wide");
}

TEST_F(AdaptiveTest, ExploresALinkOfWhichNothingWasHeard) {
  ASSERT_EQ(Pick(), "fast");
  message_.now_ns += 40 * kSecond;
  links_["fast"].measured_ns = message_.now_ns;
  EXPECT_EQ(Pick(), "wide") << "once";
  EXPECT_EQ(Pick(), "fast") << "and no more for a while";
  message_.now_ns += 40 * kSecond;
  links_["fast"].measured_ns = message_.now_ns;
  message_.priority = Priority::kHigh;
  EXPECT_EQ(Pick(), "fast") << "not with what is urgent";
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
