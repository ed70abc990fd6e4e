// The adaptive choice on scripted links.
#include "core/gateway/adaptive_selector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/gateway/scripted_views.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;

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

}  // namespace
}  // namespace viaduct
