// Links that owe answers and give none, and messages that take longer than others did: they go to
// one that answers, and whichever confirms first counts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/gateway/dispatch_core.h"
#include "core/gateway/scripted_links.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class ListOutbox final : public Outbox {
 public:
  size_t Claim(const ClaimLimits& limits, std::vector<OutboxMessage>* out) override {
    size_t count = 0;
    const size_t most = std::min(limits.messages, backlog ? limits.backlog : limits.live);
    for (; count < most && !waiting.empty() && !holds; ++count) {
      OutboxMessage message;
      message.key = waiting.front();
      message.envelope_json = envelope;
      message.backlog = backlog;
      message.attempts = attempts_[message.key];
      waiting.pop_front();
      out->push_back(std::move(message));
    }
    return count;
  }
  void Settle(absl::Span<const Settlement> settlements) override {
    for (const Settlement& s : settlements) {
      settled.push_back(s);
      ++attempts_[s.key];
      if (s.kind == SettleKind::kRetry && s.delay_ns == 0) waiting.push_back(s.key);
    }
  }
  int64_t NextDueNanos() const override { return kNever; }
  void SetReadyHandler(std::function<void()>) override {}

  std::deque<int64_t> waiting;
  bool backlog = false;  // All that waits.
  bool holds = false;    // Gives nothing.
  std::string envelope = "{}";
  std::vector<Settlement> settled;

 private:
  std::map<int64_t, uint32_t> attempts_;
};

class SilenceTest : public ::testing::Test {
 protected:
  SilenceTest() : core_(options_, &outbox_, &selector_, &clock_, random_, &log_) {
    for (size_t i = 0; i < 2; ++i) {
      counters_.push_back(std::make_shared<LinkCounters>());
      EXPECT_TRUE(core_.AddLink(static_cast<LinkId>(i + 1), links_[i], LinkTraits(), counters_[i]));
    }
  }
  void Put(int64_t key) {
    outbox_.waiting.push_back(key);
    core_.Step();
  }
  void Confirm(size_t link, size_t delivery) {
    const Completion done{links_[link]->tokens[delivery], Outcome::kDurable, absl::OkStatus()};
    core_.Complete(static_cast<LinkId>(link + 1), {&done, 1});
  }
  void Pass(absl::Duration time) {
    clock_.Advance(time);
    core_.Step();
  }

  FakeClock clock_;
  NullLog log_;
  std::mt19937 random_;
  DispatcherOptions options_;
  ListOutbox outbox_;
  ConfiguredOrderSelector selector_;
  ScriptedLink first_{"first"};
  ScriptedLink second_{"second"};
  ScriptedLink* const links_[2] = {&first_, &second_};
  std::vector<std::shared_ptr<LinkCounters>> counters_;
  DispatchCore core_;
};

TEST_F(SilenceTest, WhatIsInFlightGoesToALinkThatAnswers) {
  Put(1);
  ASSERT_THAT(first_.tokens, SizeIs(1));
  Pass(absl::Milliseconds(900));
  EXPECT_THAT(second_.tokens, IsEmpty());
  Pass(absl::Milliseconds(200));
  ASSERT_THAT(second_.tokens, SizeIs(1));
  EXPECT_THAT(outbox_.settled[0].reason, HasSubstr("first: cancelled, silent for 1.1"));
  // New messages keep away from it.
  Put(2);
  ASSERT_THAT(second_.tokens, SizeIs(2));
  Confirm(1, 0);
  EXPECT_EQ(outbox_.settled.back().kind, SettleKind::kConfirmed);
  EXPECT_EQ(counters_[0]->timed_out.load(), 1u);
}

TEST_F(SilenceTest, ASpareThatAnswersItsProbesAgainIsALinkThatAnswers) {
  core_.NoteProbe(2, false, absl::Seconds(5), 100);
  core_.NoteProbe(2, true, absl::Milliseconds(20), 100);
  Put(1);
  ASSERT_THAT(first_.tokens, SizeIs(1));
  Pass(absl::Milliseconds(1'100));
  EXPECT_THAT(second_.tokens, SizeIs(1));
}

TEST_F(SilenceTest, WhicheverConfirmsFirstCounts) {
  Put(1);
  Pass(absl::Milliseconds(1'100));
  ASSERT_THAT(second_.tokens, SizeIs(1));
  Confirm(0, 0);
  ASSERT_THAT(outbox_.settled, SizeIs(2));
  EXPECT_EQ(outbox_.settled[1].kind, SettleKind::kConfirmed);
  EXPECT_EQ(core_.in_flight(), 0u);
  Confirm(1, 0);  // The same once more.
  EXPECT_THAT(outbox_.settled, SizeIs(2));
  EXPECT_EQ(counters_[0]->confirmed.load(), 1u);
  EXPECT_EQ(counters_[1]->confirmed.load(), 0u);
  Put(2);
  EXPECT_THAT(first_.tokens, SizeIs(2)) << "it delivers again";
}

TEST_F(SilenceTest, WhatWasLearnedOfARoadForTheBacklogGoesWithIt) {
  second_.is_ready = false;
  outbox_.backlog = true;
  outbox_.envelope = std::string(10'000, 'x');
  for (int64_t key = 1; key <= 20'000; ++key) outbox_.waiting.push_back(key);
  size_t confirmed = 0;
  for (int round = 0; round < 12; ++round) {
    Pass(absl::Milliseconds(1));
    while (confirmed < first_.tokens.size()) Confirm(0, confirmed++);
  }
  core_.Step();
  ASSERT_GT(core_.in_flight(), 20u);
  while (confirmed < first_.tokens.size()) Confirm(0, confirmed++);
  first_.is_ready = false;  // It fails over to another road.
  core_.Step();
  first_.is_ready = true;
  core_.Step();
  EXPECT_GE(core_.in_flight(), 1u);
  EXPECT_LE(core_.in_flight(), 7u);
}

TEST_F(SilenceTest, ALinkThatGoesOnAnsweringIsNotSilent) {
  for (int64_t key = 1; key <= 20; ++key) Put(key);
  for (size_t i = 0; i < 20; ++i) {
    Pass(absl::Milliseconds(600));
    Confirm(0, i);
  }
  EXPECT_THAT(second_.tokens, IsEmpty());
}

TEST_F(SilenceTest, WhatIsAnsweredIsNotWaitedForAgain) {
  outbox_.envelope = std::string(10 * kSlowestBytes, 'x');
  for (int64_t key = 1; key <= 40; ++key) Put(key);
  ASSERT_THAT(first_.tokens, SizeIs(40));
  for (size_t i = 0; i < 20; ++i) Confirm(0, i);
  Pass(absl::Seconds(10));
  EXPECT_THAT(second_.tokens, IsEmpty()) << "the next one may be on its way";
  Pass(absl::Seconds(2));
  EXPECT_THAT(second_.tokens, Not(IsEmpty()));
}

TEST_F(SilenceTest, NothingIsTakenFromALinkWithoutAnother) {
  second_.is_ready = false;
  Put(1);
  Pass(absl::Seconds(30));
  EXPECT_THAT(outbox_.settled, IsEmpty());
  Confirm(0, 0);
  EXPECT_THAT(outbox_.settled, SizeIs(1));
}

TEST_F(SilenceTest, NothingGoesRoundWhenAllAreSilent) {
  Put(1);
  for (int i = 0; i < 25; ++i) Pass(absl::Seconds(1));
  EXPECT_THAT(first_.tokens, SizeIs(1));
  EXPECT_THAT(second_.tokens, SizeIs(1));
}

TEST_F(SilenceTest, WhatWasUnderWayThenDoesNotMakeTheLinkSlow) {
  for (int64_t key = 1; key <= 80; ++key) Put(key);
  Pass(absl::Milliseconds(1'100));
  const size_t repeated = second_.tokens.size();
  ASSERT_LT(repeated, 80u);
  clock_.Advance(absl::Seconds(20));
  for (size_t i = 0; i < 80; ++i) Confirm(0, i);
  for (size_t i = 0; i < repeated; ++i) Confirm(1, i);
  ASSERT_EQ(core_.in_flight(), 0u);
  Put(100);
  ASSERT_THAT(first_.tokens, SizeIs(81));
  Pass(absl::Milliseconds(1'100));
  EXPECT_THAT(second_.tokens, SizeIs(repeated + 1)) << "as patient as before";
}

TEST_F(SilenceTest, TheRetryBudgetBoundsWhatIsRepeatedAtOnce) {
  for (int64_t key = 1; key <= 80; ++key) Put(key);
  ASSERT_THAT(first_.tokens, SizeIs(80));
  Pass(absl::Milliseconds(1'100));
  const size_t at_once = second_.tokens.size();
  EXPECT_GE(at_once, 10u);
  EXPECT_LT(at_once, 60u);
  size_t confirmed = 0;
  for (int i = 0; i < 100; ++i) {
    while (confirmed < second_.tokens.size()) Confirm(1, confirmed++);
    Pass(absl::Milliseconds(100));
  }
  EXPECT_THAT(second_.tokens, SizeIs(80)) << "the others follow";
  EXPECT_EQ(core_.in_flight(), 0u);
}

// In configured order, and what is late besides.
class HedgingSelector final : public Selector {
 public:
  Choice Pick(const SelectorMessage& message, absl::Span<const LinkView> links) override {
    return order_.Pick(message, links);
  }
  Explanation Explain(const SelectorMessage& message,
                      absl::Span<const LinkView> links) const override {
    return order_.Explain(message, links);
  }
  bool hedges() const override { return true; }

 private:
  ConfiguredOrderSelector order_;
};

// The first link confirms within 100 ms, and there is something in the budget.
class LateTest : public SilenceTest {
 protected:
  static constexpr size_t kBefore = 60;

  LateTest() {
    core_.SetSelector(&hedging_);
    first_.is_ready = false;
    Put(1'000);
    Pass(absl::Milliseconds(20));
    Confirm(1, 0);
    second_.tokens.clear();
    counters_[1]->confirmed = 0;
    first_.is_ready = true;
    for (size_t i = 0; i < kBefore; ++i) {
      Put(static_cast<int64_t>(i));
      Pass(absl::Milliseconds(100));
      Confirm(0, i);
    }
    EXPECT_THAT(second_.tokens, IsEmpty());
    outbox_.settled.clear();
  }
  size_t Hedged() const { return static_cast<size_t>(counters_[0]->hedged.load()); }

  HedgingSelector hedging_;
};

TEST_F(LateTest, GoesOverAnotherLinkBesides) {
  Put(100);
  Pass(absl::Milliseconds(100));
  EXPECT_THAT(second_.tokens, IsEmpty());
  Pass(absl::Milliseconds(300));
  ASSERT_THAT(second_.tokens, SizeIs(1));
  EXPECT_THAT(outbox_.settled[0].reason, HasSubstr("first: cancelled, late after 400ms"));
  EXPECT_EQ(core_.in_flight(), 1u) << "it is one message";
  Confirm(1, 0);
  ASSERT_THAT(outbox_.settled, SizeIs(2));
  EXPECT_EQ(outbox_.settled[1].kind, SettleKind::kConfirmed);
  EXPECT_EQ(core_.in_flight(), 0u);
  Confirm(0, kBefore);  // The same once more.
  EXPECT_THAT(outbox_.settled, SizeIs(2));
  EXPECT_EQ(Hedged(), 1u);
  EXPECT_EQ(counters_[0]->confirmed.load(), kBefore);
  EXPECT_EQ(counters_[1]->confirmed.load(), 1u);
  Put(101);
  EXPECT_THAT(first_.tokens, SizeIs(kBefore + 2)) << "the link is none the worse for it";
}

TEST_F(LateTest, CountsForTheLinkThatIsFirst) {
  Put(100);
  Pass(absl::Milliseconds(400));
  ASSERT_THAT(second_.tokens, SizeIs(1));
  Confirm(0, kBefore);
  ASSERT_THAT(outbox_.settled, SizeIs(2));
  EXPECT_EQ(outbox_.settled[1].kind, SettleKind::kConfirmed);
  EXPECT_EQ(core_.in_flight(), 0u);
  Confirm(1, 0);
  EXPECT_THAT(outbox_.settled, SizeIs(2));
  EXPECT_EQ(counters_[0]->confirmed.load(), kBefore + 1);
  EXPECT_EQ(counters_[1]->confirmed.load(), 0u);
}

TEST_F(LateTest, IsNotRepeatedWhenTheFirstFailsIt) {
  Put(100);
  Pass(absl::Milliseconds(400));
  ASSERT_THAT(second_.tokens, SizeIs(1));
  const Completion failed{first_.tokens[kBefore], Outcome::kRetry, absl::UnavailableError("x")};
  core_.Complete(1, {&failed, 1});
  core_.Step();
  EXPECT_THAT(outbox_.settled, SizeIs(1));
  EXPECT_THAT(second_.tokens, SizeIs(1));
  EXPECT_EQ(core_.in_flight(), 1u);
  Confirm(1, 0);
  EXPECT_EQ(outbox_.settled.back().kind, SettleKind::kConfirmed);
}

TEST_F(LateTest, IsLeftToTheFirstWhenTheOtherFailsIt) {
  Put(100);
  Pass(absl::Milliseconds(400));
  ASSERT_THAT(second_.tokens, SizeIs(1));
  const Completion refused{second_.tokens[0], Outcome::kRetry, absl::UnavailableError("x")};
  core_.Complete(2, {&refused, 1});
  EXPECT_EQ(core_.in_flight(), 1u);
  EXPECT_THAT(outbox_.settled, SizeIs(1)) << "the first has it still";
  Confirm(0, kBefore);
  ASSERT_THAT(outbox_.settled, SizeIs(2));
  EXPECT_EQ(outbox_.settled[1].kind, SettleKind::kConfirmed);
  EXPECT_EQ(core_.in_flight(), 0u);
}

TEST_F(LateTest, WaitsForItsTurnWhenBothFail) {
  Put(100);
  Pass(absl::Milliseconds(400));
  ASSERT_THAT(second_.tokens, SizeIs(1));
  for (const size_t link : {1, 0}) {
    const uint64_t token = link == 0 ? first_.tokens[kBefore] : second_.tokens[0];
    const Completion refused{token, Outcome::kRetry, absl::UnavailableError("x")};
    core_.Complete(static_cast<LinkId>(link + 1), {&refused, 1});
  }
  EXPECT_EQ(core_.in_flight(), 0u);
  ASSERT_THAT(outbox_.settled, SizeIs(2));
  EXPECT_EQ(outbox_.settled[1].kind, SettleKind::kRetry);
  EXPECT_GT(outbox_.settled[1].delay_ns, 0);
}

TEST_F(LateTest, IsNotSentAgainWhenItIsConfirmedOnItsWayToTheOther) {
  Put(100);
  outbox_.holds = true;
  Pass(absl::Milliseconds(400));
  ASSERT_EQ(Hedged(), 1u);
  Confirm(0, kBefore);
  outbox_.holds = false;
  core_.Step();
  EXPECT_THAT(second_.tokens, IsEmpty());
  ASSERT_THAT(outbox_.settled, SizeIs(2));
  EXPECT_EQ(outbox_.settled[1].kind, SettleKind::kConfirmed);
  EXPECT_EQ(counters_[0]->confirmed.load(), kBefore + 1);
}

TEST_F(LateTest, DoesNotHideTheSilenceOfTheOther) {
  Put(100);
  Pass(absl::Milliseconds(400));
  ASSERT_THAT(second_.tokens, SizeIs(1));
  Confirm(0, kBefore);
  first_.room = 0;
  Put(101);
  ASSERT_THAT(second_.tokens, SizeIs(2));
  Pass(absl::Milliseconds(200));
  first_.room = 100;
  core_.LinkReady(1);
  Pass(absl::Seconds(3));
  EXPECT_THAT(first_.tokens, SizeIs(kBefore + 2));
}

TEST_F(LateTest, DoesNotWaitBehindWhatMayTakeItsTime) {
  outbox_.backlog = true;
  Put(100);
  outbox_.backlog = false;
  Put(101);
  Pass(absl::Milliseconds(400));
  EXPECT_EQ(Hedged(), 1u);
}

TEST_F(LateTest, StaysWhereItIsWhenTheNodeStops) {
  Put(100);
  core_.StopClaiming();
  Pass(absl::Milliseconds(800));
  EXPECT_EQ(Hedged(), 0u);
  EXPECT_EQ(core_.in_flight(), 1u);
}

TEST_F(LateTest, IsOfAShareOfTheMessages) {
  for (int64_t key = 100; key < 120; ++key) Put(key);
  Pass(absl::Milliseconds(500));
  EXPECT_EQ(Hedged(), 8u) << "a tenth of 81";
}

TEST_F(LateTest, AreNotManyAtOnce) {
  for (int64_t key = 100; key < 190; ++key) Put(key);
  Pass(absl::Milliseconds(500));
  EXPECT_EQ(Hedged(), 10u);
}

TEST_F(LateTest, LeavesALinkThatSaysNothing) {
  Put(100);
  Pass(absl::Milliseconds(400));
  ASSERT_THAT(second_.tokens, SizeIs(1));
  Confirm(1, 0);
  Pass(absl::Seconds(1));
  EXPECT_EQ(counters_[0]->timed_out.load(), 1u);
  Put(101);
  EXPECT_THAT(second_.tokens, SizeIs(2)) << "it pauses";
  EXPECT_THAT(first_.tokens, SizeIs(kBefore + 1));
}

TEST_F(LateTest, BacklogMayTakeItsTime) {
  outbox_.backlog = true;
  Put(100);
  Pass(absl::Milliseconds(800));
  EXPECT_EQ(Hedged(), 0u);
}

TEST_F(LateTest, OtherStrategiesDoAsTheySay) {
  core_.SetSelector(&selector_);
  Put(100);
  Pass(absl::Milliseconds(800));
  EXPECT_EQ(Hedged(), 0u);
}

TEST_F(LateTest, DoesNotTakeALinkThatIsExpectedToTakeLonger) {
  for (int i = 0; i < 30; ++i) core_.NoteProbe(2, true, absl::Milliseconds(700), 100);
  Put(100);
  Pass(absl::Milliseconds(600));
  EXPECT_EQ(Hedged(), 0u);
  Pass(absl::Milliseconds(200));
  EXPECT_EQ(Hedged(), 1u);
}

TEST_F(LateTest, DoesNotTakeALinkThatCostsMore) {
  core_.RemoveLink(2);
  LinkTraits dear;
  dear.metered = true;
  ASSERT_TRUE(core_.AddLink(3, &second_, dear, std::make_shared<LinkCounters>()));
  Put(100);
  Pass(absl::Milliseconds(800));
  EXPECT_EQ(Hedged(), 0u);
  core_.RemoveLink(3);
  dear = LinkTraits();
  dear.cost_per_mb = 1;
  ASSERT_TRUE(core_.AddLink(4, &second_, dear, std::make_shared<LinkCounters>()));
  Pass(absl::Milliseconds(100));
  EXPECT_EQ(Hedged(), 0u);
}

}  // namespace
}  // namespace viaduct
