// Links that owe answers and give none: what they have in flight goes to one that answers, and
// whichever confirms first counts.
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
    for (; count < most && !waiting.empty(); ++count) {
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
  EXPECT_EQ(counters_[1]->late.load(), 1u);
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

}  // namespace
}  // namespace viaduct
