#include "core/gateway/dispatcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;

constexpr char kEnvelope[] = R"({"message_id":"m","payload":{"n":1}})";

// Thread-safe memory outbox with the order of a spool.
class TestOutbox final : public Outbox {
 public:
  void Put(int64_t key) {
    {
      absl::MutexLock lock(&mutex_);
      waiting_.push_back(key);
    }
    Ready();
  }
  size_t Claim(const ClaimLimits& limits, std::vector<OutboxMessage>* out) override {
    absl::MutexLock lock(&mutex_);
    size_t count = 0;
    for (; count < std::min(limits.messages, limits.live) && !waiting_.empty(); ++count) {
      OutboxMessage message;
      message.key = waiting_.front();
      message.message_id = absl::StrCat("m", message.key);
      message.envelope_json = kEnvelope + std::string(padding_, ' ');
      message.attempts = attempts_[message.key];
      message.deadline_monotonic_ns = deadline_;
      waiting_.pop_front();
      out->push_back(std::move(message));
    }
    return count;
  }
  void Settle(absl::Span<const Settlement> settlements) override {
    absl::MutexLock lock(&mutex_);
    for (const Settlement& s : settlements) {
      settled_.push_back(s);
      if (s.kind == SettleKind::kRelease) waiting_.push_front(s.key);
      if (s.kind == SettleKind::kRetry || s.kind == SettleKind::kReject) {
        ++attempts_[s.key];
        waiting_.push_back(s.key);  // Without its delay: time is not what is tested here.
      }
    }
  }
  int64_t NextDueNanos() const override { return kNever; }
  void SetReadyHandler(std::function<void()> on_ready) override {
    absl::MutexLock lock(&mutex_);
    on_ready_ = std::move(on_ready);
  }

  void set_padding(size_t bytes) {
    absl::MutexLock lock(&mutex_);
    padding_ = bytes;
  }
  void set_deadline(int64_t deadline) {
    absl::MutexLock lock(&mutex_);
    deadline_ = deadline;
  }
  std::vector<Settlement> AwaitSettled(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return settled_.size() >= count;
    };
    mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(20));
    return settled_;
  }

 private:
  void Ready() {
    std::function<void()> on_ready;
    {
      absl::MutexLock lock(&mutex_);
      on_ready = on_ready_;
    }
    if (on_ready) on_ready();
  }
  absl::Mutex mutex_;
  std::deque<int64_t> waiting_;
  std::map<int64_t, uint32_t> attempts_;
  std::vector<Settlement> settled_;
  int64_t deadline_ = 0;
  size_t padding_ = 0;  // Behind the envelope.
  std::function<void()> on_ready_;
};

// Keeps what it is given until the test completes it.
class TestLink final : public Link {
 public:
  explicit TestLink(std::string name) : name_(std::move(name)) {}
  std::string_view name() const override { return name_; }
  bool ready() const override {
    absl::MutexLock lock(&mutex_);
    return ready_;
  }
  size_t credit() const override {
    absl::MutexLock lock(&mutex_);
    return credit_;
  }
  absl::Duration confirm_timeout() const override {
    absl::MutexLock lock(&mutex_);
    return confirm_timeout_;
  }
  size_t Deliver(absl::Span<const OutboundMessage> batch) override {
    CompletionFn complete;
    std::vector<Completion> now;
    {
      absl::MutexLock lock(&mutex_);
      for (const OutboundMessage& m : batch) {
        tokens_.push_back(m.token);
        ids_.emplace_back(m.message_id);
        attempts_.push_back(m.attempt);
        payloads_.emplace_back(m.payload_json);
        if (at_once_) now.push_back({m.token, Outcome::kDurable, absl::OkStatus()});
      }
      complete = on_complete_;
    }
    if (!now.empty()) complete(now);  // Before it returns.
    return batch.size();
  }
  void SetHandlers(CompletionFn on_complete, ReadyFn on_ready) override {
    absl::MutexLock lock(&mutex_);
    on_complete_ = std::move(on_complete);
    on_ready_ = std::move(on_ready);
  }

  std::vector<uint64_t> AwaitTokens(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return tokens_.size() >= count;
    };
    mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(20));
    return tokens_;
  }
  void Complete(uint64_t token, Outcome outcome, absl::Status status = absl::OkStatus()) {
    CompletionFn complete;
    {
      absl::MutexLock lock(&mutex_);
      complete = on_complete_;
    }
    const Completion completion{token, outcome, std::move(status)};
    if (complete) complete(absl::MakeConstSpan(&completion, 1));
  }
  void SetReady(bool ready) {
    ReadyFn on_ready;
    {
      absl::MutexLock lock(&mutex_);
      ready_ = ready;
      on_ready = on_ready_;
    }
    if (on_ready) on_ready();
  }
  void set_credit(size_t credit) {
    absl::MutexLock lock(&mutex_);
    credit_ = credit;
  }
  void set_confirm_timeout(absl::Duration timeout) {
    absl::MutexLock lock(&mutex_);
    confirm_timeout_ = timeout;
  }
  void set_at_once() {
    absl::MutexLock lock(&mutex_);
    at_once_ = true;
  }
  std::vector<std::string> ids() const {
    absl::MutexLock lock(&mutex_);
    return ids_;
  }
  std::vector<uint32_t> attempts() const {
    absl::MutexLock lock(&mutex_);
    return attempts_;
  }
  std::vector<std::string> payloads() const {
    absl::MutexLock lock(&mutex_);
    return payloads_;
  }

 private:
  const std::string name_;
  mutable absl::Mutex mutex_;
  bool ready_ = true;
  bool at_once_ = false;
  size_t credit_ = 1000;
  absl::Duration confirm_timeout_;
  std::vector<uint64_t> tokens_;
  std::vector<std::string> ids_;
  std::vector<uint32_t> attempts_;
  std::vector<std::string> payloads_;
  CompletionFn on_complete_;
  ReadyFn on_ready_;
};

class DispatcherTest : public testing::Test {
 protected:
  void Start() {
    dispatcher_ = std::make_unique<Dispatcher>(
        options_, &outbox_, std::make_unique<ConfiguredOrderSelector>(), &clock_, &log_);
  }
  SystemClock clock_;
  NullLog log_;
  DispatcherOptions options_;
  TestOutbox outbox_;
  TestLink first_{"first"};
  TestLink second_{"second"};
  std::unique_ptr<Dispatcher> dispatcher_;
};

TEST_F(DispatcherTest, DeliversInOrderAndConfirms) {
  Start();
  ASSERT_TRUE(dispatcher_->AddLink(&first_).ok());
  for (int64_t key = 1; key <= 3; ++key) outbox_.Put(key);
  for (const uint64_t token : first_.AwaitTokens(3)) first_.Complete(token, Outcome::kDurable);
  const std::vector<Settlement> settled = outbox_.AwaitSettled(3);
  ASSERT_EQ(settled.size(), 3u);
  for (const Settlement& s : settled) EXPECT_EQ(s.kind, SettleKind::kConfirmed);
  EXPECT_THAT(first_.ids(), ElementsAre("m1", "m2", "m3"));
  EXPECT_THAT(first_.payloads(), Each(Eq(R"({"n":1})")));
  const LinkStats stats = dispatcher_->Stats()[0];
  EXPECT_EQ(stats.name, "first");
  EXPECT_EQ(stats.sent, 3u);
  EXPECT_EQ(stats.confirmed, 3u);
  EXPECT_EQ(stats.bytes_sent, 3 * (sizeof(kEnvelope) - 1));
  EXPECT_EQ(stats.delivery.count, 3u);
  EXPECT_TRUE(dispatcher_->Stop(absl::Seconds(10)));
}

TEST_F(DispatcherTest, SaysWhenAndWhyALinkWasSwitched) {
  Start();
  ASSERT_TRUE(dispatcher_->AddLink(&first_).ok());
  ASSERT_TRUE(dispatcher_->AddLink(&second_).ok());
  const absl::Time begin = clock_.Now();
  // Ends the step that is under way, which may have looked at the links before.
  const auto end_step = [this] { dispatcher_->Explain(SelectorMessage()); };
  outbox_.Put(1);
  first_.Complete(first_.AwaitTokens(1).back(), Outcome::kDurable);
  outbox_.AwaitSettled(1);
  first_.SetReady(false);
  end_step();
  outbox_.Put(2);
  second_.Complete(second_.AwaitTokens(1).back(), Outcome::kDurable);
  outbox_.AwaitSettled(2);
  first_.SetReady(true);
  end_step();
  outbox_.Put(3);
  first_.AwaitTokens(2);
  end_step();
  uint64_t total = 0;
  const std::vector<LinkSwitch> switches = dispatcher_->Switches(&total);
  ASSERT_EQ(total, 3u);
  EXPECT_EQ(switches[0].reason, SwitchReason::kFirst);
  EXPECT_EQ(switches[1].reason, SwitchReason::kNotReady);
  EXPECT_EQ(switches[1].from, "first");
  EXPECT_EQ(switches[1].to, "second");
  EXPECT_EQ(switches[2].reason, SwitchReason::kNotBest);
  EXPECT_GE(switches[0].at, begin);
  const std::vector<LinkStats> stats = dispatcher_->Stats();
  EXPECT_THAT(stats[0].switched_to, ElementsAre(1u, 0u, 0u, 1u));
  EXPECT_THAT(stats[1].switched_to, ElementsAre(0u, 0u, 1u, 0u));
}

TEST_F(DispatcherTest, OnlyConfirmationsCountAsTimeToConfirmation) {
  Start();
  ASSERT_TRUE(dispatcher_->AddLink(&first_).ok());
  outbox_.Put(1);
  first_.Complete(first_.AwaitTokens(1).back(), Outcome::kReject);
  outbox_.AwaitSettled(1);
  EXPECT_EQ(dispatcher_->Stats()[0].rejected, 1u);
  EXPECT_EQ(dispatcher_->Stats()[0].delivery.count, 0u);
}

TEST_F(DispatcherTest, CompletionsBeforeDeliverReturnsCount) {
  Start();
  first_.set_at_once();
  ASSERT_TRUE(dispatcher_->AddLink(&first_).ok());
  for (int64_t key = 1; key <= 1000; ++key) outbox_.Put(key);
  EXPECT_EQ(outbox_.AwaitSettled(1000).size(), 1000u);
  EXPECT_TRUE(dispatcher_->Stop(absl::Seconds(10)));
}

TEST_F(DispatcherTest, RetryGoesToTheNextLinkAtOnce) {
  Start();
  ASSERT_TRUE(dispatcher_->AddLink(&first_).ok());
  ASSERT_TRUE(dispatcher_->AddLink(&second_).ok());
  outbox_.Put(1);
  first_.Complete(first_.AwaitTokens(1)[0], Outcome::kRetry, absl::UnavailableError("refused"));
  second_.Complete(second_.AwaitTokens(1)[0], Outcome::kDurable);
  const std::vector<Settlement> settled = outbox_.AwaitSettled(2);
  EXPECT_EQ(settled[0].kind, SettleKind::kRetry);
  EXPECT_EQ(settled[0].delay_ns, 0);
  EXPECT_EQ(settled[0].reason, "first: retry, refused");
  EXPECT_EQ(settled[1].kind, SettleKind::kConfirmed);
  EXPECT_THAT(second_.attempts(), ElementsAre(2u));
}

TEST_F(DispatcherTest, TheOrderOfTheLinksCanChange) {
  Start();
  const absl::StatusOr<LinkId> first = dispatcher_->AddLink(&first_);
  const absl::StatusOr<LinkId> second = dispatcher_->AddLink(&second_);
  ASSERT_TRUE(first.ok() && second.ok());
  dispatcher_->SetOrder({*second, *first});
  EXPECT_EQ(dispatcher_->Stats().front().name, "second");
  outbox_.Put(1);
  second_.Complete(second_.AwaitTokens(1)[0], Outcome::kDurable);
  outbox_.AwaitSettled(1);
  dispatcher_->SetOrder({*first});  // What is not named stays behind.
  outbox_.Put(2);
  first_.Complete(first_.AwaitTokens(1)[0], Outcome::kDurable);
  EXPECT_EQ(outbox_.AwaitSettled(2).size(), 2u);
}

TEST_F(DispatcherTest, WindowBoundsWhatIsInFlight) {
  options_.window = 4;
  options_.batch = 3;
  Start();
  ASSERT_TRUE(dispatcher_->AddLink(&first_).ok());
  for (int64_t key = 1; key <= 10; ++key) outbox_.Put(key);
  std::vector<uint64_t> tokens = first_.AwaitTokens(4);
  for (size_t done = 0; done < 10; ++done) {
    tokens = first_.AwaitTokens(std::min<size_t>(done + 4, 10));
    EXPECT_LE(tokens.size(), done + 4);
    first_.Complete(tokens[done], Outcome::kDurable);
    outbox_.AwaitSettled(done + 1);
  }
  EXPECT_EQ(outbox_.AwaitSettled(10).size(), 10u);
}

TEST_F(DispatcherTest, TwiceAndUnknownAreIgnoredAndCounted) {
  Start();
  ASSERT_TRUE(dispatcher_->AddLink(&first_).ok());
  outbox_.Put(1);
  const uint64_t token = first_.AwaitTokens(1)[0];
  first_.Complete(token, Outcome::kDurable);
  first_.Complete(token, Outcome::kRetry);
  first_.Complete(12345, Outcome::kDurable);
  outbox_.Put(2);
  first_.Complete(first_.AwaitTokens(2)[1], Outcome::kDurable);
  const std::vector<Settlement> settled = outbox_.AwaitSettled(2);
  EXPECT_EQ(settled[0].kind, SettleKind::kConfirmed);
  EXPECT_EQ(settled[1].kind, SettleKind::kConfirmed);
  EXPECT_EQ(dispatcher_->Stats()[0].unknown, 2u);
}

TEST_F(DispatcherTest, NeverCompletedGoesAnotherWayAfterTheDeadline) {
  options_.delivery_timeout = absl::Milliseconds(30);
  Start();
  ASSERT_TRUE(dispatcher_->AddLink(&first_).ok());
  ASSERT_TRUE(dispatcher_->AddLink(&second_).ok());
  outbox_.Put(1);
  const uint64_t token = first_.AwaitTokens(1)[0];
  second_.Complete(second_.AwaitTokens(1)[0], Outcome::kDurable);
  const std::vector<Settlement> settled = outbox_.AwaitSettled(2);
  EXPECT_EQ(settled[0].kind, SettleKind::kRetry);
  EXPECT_THAT(settled[0].reason, HasSubstr("no answer within "));
  EXPECT_EQ(settled[1].kind, SettleKind::kConfirmed);
  first_.Complete(token, Outcome::kDurable);  // Too late: ignored.
  outbox_.Put(2);
  for (const uint64_t t : first_.AwaitTokens(2)) first_.Complete(t, Outcome::kDurable);
  outbox_.AwaitSettled(3);
  EXPECT_EQ(dispatcher_->Stats()[0].timed_out, 1u);
  EXPECT_EQ(dispatcher_->Stats()[0].late, 1u);
}

// One message to `first_`, whose answer comes after one to `second_` has been given up.
class PatienceTest : public DispatcherTest {
 protected:
  void DeliverToBoth() {
    options_.delivery_timeout = absl::Milliseconds(30);
    Start();
    ASSERT_TRUE(dispatcher_->AddLink(&first_).ok());
    outbox_.Put(1);
    const uint64_t token = first_.AwaitTokens(1)[0];
    first_.set_credit(0);
    outbox_.set_padding(0);
    ASSERT_TRUE(dispatcher_->AddLink(&second_).ok());
    outbox_.Put(2);
    second_.AwaitTokens(1);
    EXPECT_EQ(outbox_.AwaitSettled(1)[0].key, 2);
    first_.Complete(token, Outcome::kDurable);
    const std::vector<uint64_t> again = second_.AwaitTokens(2);
    second_.Complete(again[1], Outcome::kDurable);
    outbox_.AwaitSettled(3);
  }
};

TEST_F(PatienceTest, ALinkIsGivenTheTimeThatItsOwnOptionsAllow) {
  first_.set_confirm_timeout(absl::Minutes(10));
  DeliverToBoth();
  EXPECT_EQ(dispatcher_->Stats()[0].timed_out, 0u);
  EXPECT_EQ(dispatcher_->Stats()[0].confirmed, 1u);
}

TEST_F(PatienceTest, ALargeMessageIsGivenTheTimeOfASlowRoad) {
  outbox_.set_padding(100 * kSlowestBytes);
  DeliverToBoth();
  EXPECT_EQ(dispatcher_->Stats()[0].timed_out, 0u);
  EXPECT_EQ(dispatcher_->Stats()[0].confirmed, 1u);
}

TEST(DeliveryTable, NothingIsDueBeforeWhatWasSentBeforeIt) {
  DeliveryTable table(4);
  Delivery large;
  large.key = 1;
  large.sent_ns = 100;
  large.deadline_ns = 1000;
  Delivery small;
  small.key = 2;
  small.sent_ns = 110;
  small.deadline_ns = 200;
  table.Add(large);
  table.Add(small);
  EXPECT_EQ(table.NextDeadlineNs(), 1000);
  Delivery due;
  EXPECT_FALSE(table.AbandonDue(999, &due));
  ASSERT_TRUE(table.AbandonDue(1000, &due));
  EXPECT_EQ(due.key, 1);
  ASSERT_TRUE(table.AbandonDue(1000, &due));
  EXPECT_EQ(due.key, 2);
  EXPECT_EQ(table.abandoned(), 2u);
  table.Reclaim(table.NextReclaimNs() - 1);
  EXPECT_EQ(table.abandoned(), 2u);
  table.Reclaim(table.NextReclaimNs());
  EXPECT_EQ(table.abandoned(), 0u) << "both, in the order in which they were sent";
}

TEST(DeliveryTable, WhatIsAnsweredLateKeepsNoOtherFromItsReclaim) {
  DeliveryTable table(4);
  Delivery delivery;
  delivery.sent_ns = 100;
  delivery.deadline_ns = 200;
  const uint64_t first = table.Add(delivery);
  table.Add(delivery);
  Delivery due;
  while (table.AbandonDue(200, &due)) {
  }
  ASSERT_EQ(table.Finish(first, &due), DeliveryTable::Found::kLate);
  ASSERT_EQ(table.abandoned(), 1u);
  table.Reclaim(table.NextReclaimNs());
  EXPECT_EQ(table.abandoned(), 0u);
}

TEST_F(DispatcherTest, ExpiredIsBelievedOnlyAfterTheMessagesDeadline) {
  Start();
  ASSERT_TRUE(dispatcher_->AddLink(&first_).ok());
  outbox_.Put(1);
  first_.Complete(first_.AwaitTokens(1)[0], Outcome::kExpired);
  EXPECT_EQ(outbox_.AwaitSettled(1)[0].kind, SettleKind::kRetry);
  outbox_.set_deadline(1);  // Long ago.
  outbox_.Put(2);
  const std::vector<uint64_t> tokens = first_.AwaitTokens(3);
  first_.Complete(tokens[2], Outcome::kExpired);
  EXPECT_EQ(outbox_.AwaitSettled(2)[1].kind, SettleKind::kExpired);
}

TEST_F(DispatcherTest, LinkThatBecomesReadyGetsWhatWaits) {
  Start();
  first_.SetReady(false);
  ASSERT_TRUE(dispatcher_->AddLink(&first_).ok());
  outbox_.Put(1);
  first_.SetReady(true);
  EXPECT_EQ(first_.AwaitTokens(1).size(), 1u);
}

TEST_F(DispatcherTest, RemovedLinksMessagesGoAnotherWay) {
  Start();
  const absl::StatusOr<LinkId> id = dispatcher_->AddLink(&first_);
  ASSERT_TRUE(id.ok());
  outbox_.Put(1);
  const uint64_t token = first_.AwaitTokens(1)[0];
  ASSERT_TRUE(dispatcher_->AddLink(&second_).ok());
  dispatcher_->RemoveLink(*id);
  first_.Complete(token, Outcome::kDurable);  // Nobody listens any more.
  second_.Complete(second_.AwaitTokens(1)[0], Outcome::kDurable);
  const std::vector<Settlement> settled = outbox_.AwaitSettled(2);
  EXPECT_EQ(settled[0].kind, SettleKind::kRelease);
  EXPECT_EQ(settled[1].kind, SettleKind::kConfirmed);
}

TEST_F(DispatcherTest, StopWaitsForWhatIsInFlight) {
  Start();
  ASSERT_TRUE(dispatcher_->AddLink(&first_).ok());
  outbox_.Put(1);
  const uint64_t token = first_.AwaitTokens(1)[0];
  std::thread stopper([&] { EXPECT_TRUE(dispatcher_->Stop(absl::Seconds(20))); });
  first_.Complete(token, Outcome::kDurable);
  stopper.join();
  EXPECT_EQ(outbox_.AwaitSettled(1)[0].kind, SettleKind::kConfirmed);
}

TEST_F(DispatcherTest, StopGivesBackWhatDoesNotEndInTime) {
  Start();
  ASSERT_TRUE(dispatcher_->AddLink(&first_).ok());
  outbox_.Put(1);
  first_.AwaitTokens(1);
  EXPECT_FALSE(dispatcher_->Stop(absl::Milliseconds(10)));
  EXPECT_EQ(outbox_.AwaitSettled(1)[0].kind, SettleKind::kRelease);
  EXPECT_FALSE(dispatcher_->AddLink(&second_).ok());
}

TEST_F(DispatcherTest, FailingLinkPausesAndComesBack) {
  options_.retry.initial_delay = absl::Milliseconds(20);
  options_.retry.max_delay = absl::Milliseconds(20);
  Start();
  ASSERT_TRUE(dispatcher_->AddLink(&first_).ok());
  outbox_.Put(1);
  for (size_t i = 0; i < 5; ++i) {
    first_.Complete(first_.AwaitTokens(i + 1)[i], Outcome::kRetry, absl::UnavailableError("down"));
  }
  outbox_.Put(2);  // Waits with the other one until the pause ends; then one at a time.
  first_.Complete(first_.AwaitTokens(6)[5], Outcome::kDurable);
  first_.Complete(first_.AwaitTokens(7)[6], Outcome::kDurable);
  const std::vector<Settlement> settled = outbox_.AwaitSettled(7);
  EXPECT_EQ(settled[5].kind, SettleKind::kConfirmed);
  EXPECT_EQ(settled[6].kind, SettleKind::kConfirmed);
}

TEST(ConfiguredOrderSelectorTest, PrefersTheFirstThatHasNotFailedIt) {
  ConfiguredOrderSelector selector;
  std::vector<LinkView> links(3);
  for (LinkView& link : links) link.ready = true;
  links[0].room = links[1].room = 1;
  SelectorMessage message;
  EXPECT_EQ(selector.Pick(message, links).link, 0);
  message.tried = 1;
  EXPECT_EQ(selector.Pick(message, links).link, 1);
  message.tried = 3;
  EXPECT_EQ(selector.Pick(message, links).link, 0);
  links[0].ready = links[1].ready = false;
  EXPECT_EQ(selector.Pick(message, links).link, Choice::kNone);
}

TEST(LatencyHistogramTest, QuantilesLieWithinTheBucketByTheirRank) {
  EXPECT_EQ(LatencySnapshot().QuantileUs(0.5), 0u);
  LatencyHistogram histogram;
  for (int i = 0; i < 100; ++i) histogram.Add(100'000);  // 100 us, between 64 and 128.
  EXPECT_EQ(histogram.Read().QuantileUs(0.5), 96u);
  EXPECT_EQ(histogram.Read().QuantileUs(1), 128u);
  histogram.Add(0);
  EXPECT_EQ(histogram.Read().QuantileUs(0), 0u);
  for (int i = 0; i < 99; ++i) histogram.Add(5'000'000'000);  // Between 2^22 and 2^23 us.
  const LatencySnapshot snapshot = histogram.Read();
  EXPECT_EQ(snapshot.count, 200u);
  EXPECT_GT(snapshot.QuantileUs(0.75), 6'000'000u);
  EXPECT_LT(snapshot.QuantileUs(0.75), 6'500'000u);
}

}  // namespace
}  // namespace viaduct
