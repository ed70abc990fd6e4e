// What goes, and what waits, while some of the links do not work.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/gateway/adaptive_selector.h"
#include "core/gateway/dispatch_core.h"
#include "core/gateway/scripted_links.h"
#include "core/gateway/selection_rules.h"
#include "core/gateway/standard_rules.h"

namespace viaduct {
namespace {

using ::testing::Contains;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class ChoiceTest : public ::testing::Test {
 protected:
  ChoiceTest() { clock_.Advance(absl::Hours(1)); }

  void Begin(Selector* selector) {
    core_ = std::make_unique<DispatchCore>(options_, &outbox_, selector, &clock_, random_, &log_);
  }
  ScriptedLink* Add(const std::string& name, LinkTraits traits = LinkTraits()) {
    links_.push_back(std::make_unique<ScriptedLink>(name));
    counters_.push_back(std::make_shared<LinkCounters>());
    EXPECT_TRUE(core_->AddLink(static_cast<LinkId>(links_.size()), links_.back().get(),
                               std::move(traits), counters_.back()));
    return links_.back().get();
  }
  void Pass(absl::Duration time) {
    clock_.Advance(time);
    core_->Step();
  }
  // Everything that the link holds ends so.
  void End(size_t link, Outcome outcome, absl::Duration retry_after = absl::ZeroDuration()) {
    EndFirst(link, links_[link]->tokens.size(), outcome, retry_after);
  }
  void EndFirst(size_t link, size_t count, Outcome outcome,
                absl::Duration retry_after = absl::ZeroDuration()) {
    std::vector<uint64_t>& tokens = links_[link]->tokens;
    const auto end = tokens.begin() + static_cast<std::ptrdiff_t>(std::min(count, tokens.size()));
    std::vector<Completion> completions;
    for (auto token = tokens.begin(); token != end; ++token) {
      completions.push_back({*token, outcome, absl::OkStatus(), retry_after});
    }
    tokens.erase(tokens.begin(), end);
    core_->Complete(static_cast<LinkId>(link + 1), completions);
  }

  FakeClock clock_;
  NullLog log_;
  std::mt19937 random_;
  DispatcherOptions options_;
  ScriptedOutbox outbox_{&clock_};
  std::unique_ptr<DispatchCore> core_;
  std::vector<std::unique_ptr<ScriptedLink>> links_;
  std::vector<std::shared_ptr<LinkCounters>> counters_;
};

class TwoLinksTest : public ChoiceTest {
 protected:
  TwoLinksTest() {
    Begin(&selector_);
    first_ = Add("first");
    second_ = Add("second");
    core_->Step();
  }
  ConfiguredOrderSelector selector_;
  ScriptedLink* first_ = nullptr;
  ScriptedLink* second_ = nullptr;
};

TEST_F(ChoiceTest, TheBacklogFollowsInPartsThatAreWorthIt) {
  ConfiguredOrderSelector selector;
  Begin(&selector);
  ScriptedLink* const link = Add("link");
  for (int64_t key = 1; key <= 500; ++key)
    outbox_.Put(key, {Priority::kNormal, /*backlog=*/true, /*bytes=*/1'000});
  core_->Step();
  const size_t whole = link->tokens.size();
  ASSERT_GT(whole, 50u);
  Pass(absl::Milliseconds(1));
  EndFirst(0, 5, Outcome::kDurable);
  core_->Step();
  EXPECT_THAT(link->ids, SizeIs(whole)) << "a few do not follow the few that were confirmed";
  EndFirst(0, whole / 2, Outcome::kDurable);
  core_->Step();
  EXPECT_GE(link->ids.size(), whole + whole / 2);
  while (link->ids.size() < 500) {  // The last ones, too.
    Pass(absl::Milliseconds(1));
    End(0, Outcome::kDurable);
    const size_t before = link->ids.size();
    core_->Step();
    ASSERT_GT(link->ids.size(), before);
  }
}

TEST_F(TwoLinksTest, WhatFailedWaitsWhereTheOtherLinkIsFull) {
  first_->is_ready = false;
  outbox_.Put(1);
  core_->Step();
  ASSERT_THAT(second_->tokens, SizeIs(1));
  second_->room = 0;
  first_->is_ready = true;
  outbox_.Put(2);
  core_->Step();
  End(0, Outcome::kRetry);
  ASSERT_THAT(outbox_.settled, SizeIs(1));
  EXPECT_GT(outbox_.settled[0].delay_ns, 100'000'000);
  core_->Step();
  EXPECT_THAT(first_->ids, SizeIs(1)) << "not again without a pause";
  second_->room = 10;
  Pass(absl::Milliseconds(400));
  EXPECT_THAT(second_->ids, SizeIs(2)) << "and then where it was not tried";
}

TEST_F(TwoLinksTest, NoMoreGoesToTheOtherLinkAtOnceThanItTakes) {
  for (int64_t key = 1; key <= 6; ++key) outbox_.Put(key);
  core_->Step();
  ASSERT_THAT(first_->tokens, SizeIs(6));
  second_->room = 2;
  End(0, Outcome::kRetry);
  const auto at_once = std::count_if(outbox_.settled.begin(), outbox_.settled.end(),
                                     [](const Settlement& s) { return s.delay_ns == 0; });
  EXPECT_EQ(at_once, 2);
}

TEST_F(TwoLinksTest, WhatTheOtherLinkHasNoRoomForDoesNotWaitForThisOnesPause) {
  for (int64_t key = 1; key <= 6; ++key) outbox_.Put(key);
  core_->Step();
  ASSERT_THAT(first_->tokens, SizeIs(6));
  second_->room = 2;
  End(0, Outcome::kRetry, absl::Hours(1));
  for (int i = 0; i < 20; ++i) {
    Pass(absl::Milliseconds(100));
    End(1, Outcome::kDurable);
  }
  EXPECT_THAT(second_->ids, SizeIs(6));
}

TEST_F(TwoLinksTest, WhatTheRetryBudgetDoesNotAllowAtOnceDoesNotWaitForThisOnesPause) {
  for (int64_t key = 1; key <= 100; ++key) outbox_.Put(key);
  core_->Step();
  ASSERT_THAT(first_->tokens, SizeIs(100));
  End(0, Outcome::kRetry, absl::Hours(1));
  core_->Step();
  EXPECT_LT(second_->ids.size(), 40u);
  for (int i = 0; i < 20; ++i) {
    Pass(absl::Milliseconds(100));
    End(1, Outcome::kDurable);
  }
  EXPECT_THAT(second_->ids, SizeIs(100));
}

TEST_F(TwoLinksTest, WhatALinkHasFailedIsKnownWhereverItStands) {
  ScriptedLink* const third = Add("third");
  outbox_.Put(1);
  core_->Step();
  End(0, Outcome::kRetry);
  core_->Step();
  ASSERT_THAT(second_->tokens, SizeIs(1));
  core_->SetOrder({3, 1, 2});
  End(1, Outcome::kRetry);
  core_->Step();
  EXPECT_THAT(third->ids, SizeIs(1)) << "the only one that has not failed it";
}

TEST_F(TwoLinksTest, AnUnansweredProbeLetsOneMessageDecide) {
  core_->NoteProbe(1, false, absl::Seconds(5), 100);
  for (int64_t key = 1; key <= 3; ++key) outbox_.Put(key);
  core_->Step();
  EXPECT_THAT(first_->ids, SizeIs(1));
  EXPECT_THAT(second_->ids, SizeIs(2)) << "the others do not wait for it";
  EXPECT_FALSE(counters_[0]->ready.load());
  End(0, Outcome::kDurable);
  EXPECT_TRUE(counters_[0]->connected.load());
  core_->Step();
  EXPECT_TRUE(counters_[0]->ready.load());
  core_->NoteProbe(1, false, absl::Seconds(5), 100);
  EXPECT_TRUE(counters_[0]->ready.load()) << "messages were answered while it was waited for";
}

// How many links a message tries at once before it waits.
TEST_F(ChoiceTest, TriesAtMostSoManyLinks) {
  struct Row {
    uint32_t max_attempts;
    bool fallback;
    size_t tried;
  };
  for (const Row& row :
       {Row{1, true, 1}, {2, true, 2}, {3, true, 3}, {9, true, 4}, {9, false, 1}}) {
    options_.max_attempts = row.max_attempts;
    options_.fallback = row.fallback;
    outbox_ = ScriptedOutbox(&clock_);
    links_.clear();
    ConfiguredOrderSelector selector;
    Begin(&selector);
    for (const char* name : {"a", "b", "c", "d"}) Add(name);
    outbox_.Put(1);
    core_->Step();
    while (outbox_.settled.empty() || outbox_.settled.back().delay_ns == 0) {
      for (size_t i = 0; i < links_.size(); ++i) End(i, Outcome::kRetry);
      core_->Step();
    }
    EXPECT_EQ(outbox_.settled.size(), row.tried) << row.max_attempts;
    core_.reset();
  }
}

TEST_F(TwoLinksTest, APauseThatIsAskedForLateIsKept) {
  outbox_.Put(1);
  core_->Step();
  Pass(absl::Seconds(61));  // It has had its time, and the link pauses or decides.
  End(1, Outcome::kDurable);
  End(0, Outcome::kRetry, absl::Minutes(10));
  EXPECT_EQ(core_->Explain(SelectorMessage()).links[0].why, "not ready");
  Pass(absl::Minutes(9));
  EXPECT_EQ(core_->Explain(SelectorMessage()).links[0].why, "not ready");
  Pass(absl::Minutes(2));
  EXPECT_TRUE(core_->Explain(SelectorMessage()).links[0].eligible);
}

TEST_F(TwoLinksTest, ANewLinkHasFailedNothing) {
  outbox_.Put(1);
  core_->Step();
  End(0, Outcome::kRetry);
  core_->Step();
  ASSERT_THAT(second_->tokens, SizeIs(1));
  core_->RemoveLink(1);
  ScriptedLink* const third = Add("third");
  core_->Step();
  End(1, Outcome::kRetry);
  core_->Step();
  EXPECT_THAT(third->ids, SizeIs(1));
}

constexpr ScriptedOutbox::Kind kWaited{Priority::kNormal, true, 2};

// A free road that all prefer, and one that costs.
class FreeAndDearTest : public ChoiceTest {
 protected:
  FreeAndDearTest() {
    Begin(&selector_);
    free_ = Add("free");
    LinkTraits metered;
    metered.metered = true;
    dear_ = Add("dear", metered);
    for (int64_t key = 1; key <= 20; ++key) {
      outbox_.Put(key, key % 2 == 0 ? ScriptedOutbox::Kind() : kWaited);
      Pass(absl::Milliseconds(10));
      End(0, Outcome::kDurable);
      End(1, Outcome::kDurable);
    }
    EXPECT_THAT(dear_->ids, IsEmpty());
    EXPECT_THAT(free_->ids, SizeIs(20));
  }

  AdaptiveSelector selector_;
  ScriptedLink* free_ = nullptr;
  ScriptedLink* dear_ = nullptr;
};

TEST_F(FreeAndDearTest, WhatWaitedTakesTheDearRoadWhenTheFreeOneHasNoConnection) {
  free_->room = 0;  // Its broker is gone; the instance goes on trying.
  core_->Step();
  outbox_.Put(100, kWaited);
  outbox_.Put(101, {Priority::kLow, true, 2});
  Pass(absl::Milliseconds(500));
  EXPECT_THAT(dear_->ids, IsEmpty()) << "that may be of a moment";
  Pass(absl::Milliseconds(600));
  Pass(absl::Milliseconds(200));
  EXPECT_THAT(dear_->ids, UnorderedElementsAre("m100", "m101"));
  const std::vector<LinkSwitch> switches = core_->TakeSwitches();
  EXPECT_THAT(switches, Contains(Field(&LinkSwitch::why, "free is not ready")));
  free_->room = 100;
  core_->LinkReady(1);
  Pass(absl::Minutes(1));
  outbox_.Put(102, kWaited);
  Pass(absl::Milliseconds(200));
  EXPECT_THAT(dear_->ids, SizeIs(2)) << "it is back";
}

TEST_F(FreeAndDearTest, ARoadThatIsOnlyFullHasAConnection) {
  outbox_.Put(100);
  Pass(absl::Milliseconds(1));
  ASSERT_THAT(free_->tokens, SizeIs(1));
  free_->room = 0;
  outbox_.Put(101, kWaited);
  for (int i = 0; i < 9; ++i) Pass(absl::Milliseconds(100));
  EXPECT_THAT(dear_->ids, IsEmpty());
  EXPECT_TRUE(core_->Explain(SelectorMessage()).links[0].why == "full");
}

TEST_F(FreeAndDearTest, WhatTheDearRoadIsNotGivenIsNotClaimedForIt) {
  for (int64_t key = 100; key < 400; ++key) outbox_.Put(key, {Priority::kNormal, true, 5'000});
  for (int i = 0; i < 20; ++i) {
    Pass(absl::Milliseconds(10));
    End(0, Outcome::kDurable);
  }
  EXPECT_GT(free_->ids.size(), 100u);
  EXPECT_EQ(outbox_.releases, 0u);
  EXPECT_THAT(dear_->ids, IsEmpty());
}

TEST_F(FreeAndDearTest, WhatTheFreeRoadHasFailedGoesOverItAgain) {
  outbox_.Put(100, kWaited);
  Pass(absl::Milliseconds(10));
  ASSERT_THAT(free_->tokens, SizeIs(1));
  End(0, Outcome::kRetry);
  for (int i = 0; i < 10; ++i) Pass(absl::Milliseconds(100));
  EXPECT_THAT(dear_->ids, IsEmpty());
  EXPECT_THAT(free_->tokens, SizeIs(1));
}

TEST_F(FreeAndDearTest, TheLinksAreLookedAtWhileNothingIsToBeDone) {
  free_->room = 0;
  int64_t wake = core_->Step();
  ASSERT_LE(wake, clock_.MonotonicNanos() + DispatchCore::kUnconnectedNs);
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(absl::Nanoseconds(wake - clock_.MonotonicNanos()));
    wake = core_->Step();
  }
  EXPECT_EQ(core_->Explain(SelectorMessage()).links[0].why, "not ready");
  clock_.Advance(absl::Minutes(5));
  core_->Step();
  EXPECT_LT(counters_[0]->meter.Read(clock_.MonotonicNanos()).facts.uptime, 0.7);
}

// Each size has its road, and no other.
class NoFallbackTest : public ChoiceTest {
 protected:
  NoFallbackTest() {
    RuleSelector::Options rules = SizePriorityRules();
    rules.falls_back = false;
    selector_ = std::make_unique<RuleSelector>(std::move(rules));
    options_.fallback = false;
    Begin(selector_.get());
    rest_ = Add("rest");
    mqtt_ = Add("mqtt");
  }
  static constexpr ScriptedOutbox::Kind kForRest{Priority::kNormal, false, 5'000};
  static constexpr ScriptedOutbox::Kind kForMqtt{Priority::kNormal, false, 50'000};

  // As the thread of the dispatcher does where nothing happens.
  void StepFor(absl::Duration time) {
    const int64_t end = clock_.MonotonicNanos() + absl::ToInt64Nanoseconds(time);
    while (clock_.MonotonicNanos() < end) {
      const int64_t wake = std::min(core_->Step(), end);
      clock_.Advance(absl::Nanoseconds(wake - clock_.MonotonicNanos()));
    }
  }

  std::unique_ptr<RuleSelector> selector_;
  ScriptedLink* rest_ = nullptr;
  ScriptedLink* mqtt_ = nullptr;
};

TEST_F(NoFallbackTest, OneRoadThatIsDownStopsNoOther) {
  rest_->is_ready = false;
  for (int64_t key = 1; key <= 2'000; ++key) outbox_.Put(key, kForRest);
  Pass(absl::Milliseconds(1));
  for (int64_t key = 10'001; key <= 10'020; ++key) {
    outbox_.Put(key, kForMqtt);
    Pass(absl::Milliseconds(100));
    End(1, Outcome::kDurable);
  }
  EXPECT_THAT(mqtt_->ids, SizeIs(20)) << "at once";
  rest_->is_ready = true;
  core_->LinkReady(1);
  for (int i = 0; i < 200; ++i) {
    Pass(absl::Milliseconds(100));
    End(0, Outcome::kDurable);
  }
  EXPECT_THAT(rest_->ids, SizeIs(2'000));
}

TEST_F(NoFallbackTest, WhatIsBehindAllThatWaitsForADeadRoadIsReached) {
  rest_->is_ready = false;
  mqtt_->room = 5;
  for (int64_t key = 1; key <= 1'000; ++key) outbox_.Put(key, kForRest);
  outbox_.Put(10'001, kForMqtt);
  StepFor(absl::Seconds(1));
  EXPECT_THAT(mqtt_->ids, SizeIs(1));
  End(1, Outcome::kDurable);
  StepFor(absl::Seconds(30));
  outbox_.claims = 0;
  StepFor(absl::Seconds(10));
  EXPECT_LE(outbox_.claims, 2'000u) << "and then they rest";
  outbox_.Put(10'002, kForMqtt);
  Pass(absl::Seconds(10));  // All come back at once.
  EXPECT_THAT(mqtt_->ids, SizeIs(2)) << "they let it pass";
}

TEST_F(NoFallbackTest, WhatFindsItsRoadFullIsNotPutOffForAsLongAsItWasDown) {
  rest_->is_ready = false;
  outbox_.Put(1, kForRest);
  StepFor(absl::Minutes(1));
  rest_->is_ready = true;
  core_->Step();
  ASSERT_THAT(rest_->ids, IsEmpty()) << "the one is put off";
  rest_->room = 0;
  outbox_.Put(2, kForRest);
  core_->Step();
  rest_->room = 1;
  StepFor(absl::Milliseconds(300));
  EXPECT_THAT(rest_->ids, Contains("m2"));
}

TEST_F(NoFallbackTest, WhatWaitsForItsRoadIsLookedAtLessAndLessOften) {
  rest_->is_ready = false;
  for (int64_t key = 1; key <= 100; ++key) outbox_.Put(key, kForRest);
  for (int i = 0; i < 600; ++i) Pass(absl::Milliseconds(100));
  EXPECT_LT(outbox_.claims, 100u * 20) << "in a minute";
  outbox_.claims = 0;
  for (int i = 0; i < 600; ++i) Pass(absl::Milliseconds(100));
  EXPECT_LE(outbox_.claims, 100u * 7);
  EXPECT_GE(outbox_.claims, 100u * 5);
}

TEST_F(NoFallbackTest, WhatMqttCannotTakeWaitsInTheQueue) {
  mqtt_->is_ready = false;
  for (int64_t key = 1; key <= 5; ++key) outbox_.Put(key, kForMqtt);
  for (int i = 0; i < 20; ++i) Pass(absl::Milliseconds(100));
  EXPECT_THAT(rest_->ids, IsEmpty());
  mqtt_->is_ready = true;
  core_->LinkReady(2);
  for (int i = 0; i < 30; ++i) Pass(absl::Milliseconds(100));
  EXPECT_THAT(mqtt_->ids, UnorderedElementsAre("m1", "m2", "m3", "m4", "m5"));
}

TEST_F(NoFallbackTest, OnlyWhatIsSentEarnsARepetition) {
  options_.fallback = true;
  options_.retry_budget.per_second = 1;
  Begin(selector_.get());
  links_.clear();
  rest_ = Add("rest");
  mqtt_ = Add("mqtt");
  rest_->is_ready = false;
  for (int64_t key = 1; key <= 1'000; ++key) outbox_.Put(key, kForRest);
  for (int i = 0; i < 20; ++i) Pass(absl::Milliseconds(100));
  ASSERT_THAT(rest_->ids, IsEmpty());
  rest_->is_ready = true;
  for (int64_t key = 2'001; key <= 2'050; ++key) outbox_.Put(key, kForMqtt);
  Pass(absl::Milliseconds(1));
  outbox_.settled.clear();
  End(1, Outcome::kRetry);
  const auto at_once = std::count_if(outbox_.settled.begin(), outbox_.settled.end(),
                                     [](const Settlement& s) { return s.delay_ns == 0; });
  EXPECT_LE(at_once, 1 + 50 / 5 + 3);
}

}  // namespace
}  // namespace viaduct
