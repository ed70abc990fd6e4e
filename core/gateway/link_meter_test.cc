#include "core/gateway/link_meter.h"

#include <gtest/gtest.h>

#include "core/gateway/circuit_breaker.h"
#include "core/gateway/retry_budget.h"

namespace viaduct {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kSecond = 1'000 * kMs;

TEST(LinkMeterTest, KnowsNothingAtFirst) {
  LinkMeter meter;
  const LinkReading reading = meter.Read(kSecond);
  EXPECT_EQ(reading.quality, LinkQuality::kUnknown);
  EXPECT_EQ(reading.score, 0);
  EXPECT_EQ(reading.measured_ns, 0);
}

TEST(LinkMeterTest, TrafficOfASecondIsOneMeasurementByItsFastest) {
  LinkMeter meter;
  for (int i = 0; i < 100; ++i) {
    meter.NoteTraffic(1, 0, absl::Milliseconds(30 + 10 * i), kSecond + i * kMs);
  }
  EXPECT_EQ(meter.Read(kSecond + 100 * kMs).measurements, 0u);
  const LinkReading reading = meter.Read(3 * kSecond);
  EXPECT_EQ(reading.measurements, 1u);
  EXPECT_EQ(reading.latency_p50, absl::Milliseconds(30));
  EXPECT_EQ(reading.quality, LinkQuality::kExcellent);
  EXPECT_EQ(reading.measured_ns, kSecond + 99 * kMs);
}

TEST(LinkMeterTest, LossIsTheShareThatFailed) {
  LinkMeter meter;
  meter.NoteTraffic(97, 3, absl::Milliseconds(10), kSecond);
  meter.NoteTraffic(0, 5, absl::InfiniteDuration(), 3 * kSecond);
  LinkReading reading = meter.Read(3 * kSecond + kMs);
  EXPECT_EQ(reading.quality, LinkQuality::kGood);
  EXPECT_NEAR(reading.facts.loss, 0.03, 1e-9);
  reading = meter.Read(5 * kSecond);
  EXPECT_EQ(reading.quality, LinkQuality::kPoor) << "half of it lost";
}

TEST(LinkMeterTest, KeepsAHundredAndTheirQuantiles) {
  LinkMeter meter;
  for (int i = 1; i <= 250; ++i) {
    meter.NoteProbe(true, absl::Milliseconds(i), 200, i * kSecond);
  }
  EXPECT_EQ(meter.History().size(), LinkMeter::kHistory);
  EXPECT_EQ(meter.History().front().latency, absl::Milliseconds(151));
  const LinkReading reading = meter.Read(251 * kSecond);
  EXPECT_EQ(reading.latency_p50, absl::Milliseconds(200));
  EXPECT_EQ(reading.latency_p90, absl::Milliseconds(240));
  EXPECT_EQ(reading.latency_p99, absl::Milliseconds(249));
  EXPECT_EQ(reading.probes, 250u);
  EXPECT_EQ(reading.probe_bytes, 50'000u);
}

TEST(LinkMeterTest, UptimeFollowsReadiness) {
  LinkMeter meter;
  meter.NoteReady(true, kSecond);
  meter.NoteProbe(true, absl::Milliseconds(5), 0, kSecond);
  EXPECT_NEAR(meter.Read(100 * kSecond).facts.uptime, 1, 1e-9);
  meter.NoteReady(false, 100 * kSecond);
  const double later = meter.Read(400 * kSecond).facts.uptime;
  EXPECT_GT(later, 0.5);
  EXPECT_LT(later, 0.7);
  EXPECT_LT(meter.Read(4000 * kSecond).facts.uptime, 0.01);
}

class CircuitBreakerTest : public ::testing::Test {
 protected:
  bool Fail(int64_t sent, int64_t now, int64_t asked = 0) {
    return breaker_.OnFailure(sent, asked, now, [](uint32_t n) { return n * kSecond; });
  }
  CircuitBreaker breaker_{3};
};

TEST_F(CircuitBreakerTest, OpensAfterFailuresInARowAndLetsOneDecide) {
  EXPECT_FALSE(Fail(1, 2));
  EXPECT_FALSE(Fail(3, 4));
  breaker_.OnSuccess();
  EXPECT_FALSE(Fail(5, 6));
  EXPECT_FALSE(Fail(7, 8));
  EXPECT_TRUE(Fail(9, 10));
  EXPECT_EQ(breaker_.state(11), BreakerState::kOpen);
  EXPECT_EQ(breaker_.state(10 + kSecond), BreakerState::kHalfOpen);
  EXPECT_TRUE(Fail(11 + kSecond, 12 + kSecond)) << "the one that decides";
  EXPECT_EQ(breaker_.open_until_ns(), 12 + 3 * kSecond) << "longer the second time";
  EXPECT_TRUE(breaker_.OnSuccess());
  EXPECT_EQ(breaker_.state(12 + kSecond), BreakerState::kClosed);
  EXPECT_FALSE(breaker_.OnSuccess());
}

TEST_F(CircuitBreakerTest, WhatWasInFlightWhenItOpenedTellsNothingNew) {
  for (int64_t i = 1; i <= 3; ++i) Fail(i, 10);
  EXPECT_FALSE(Fail(5, 11 + kSecond));
  EXPECT_EQ(breaker_.state(11 + kSecond), BreakerState::kHalfOpen);
}

TEST_F(CircuitBreakerTest, APauseThatThePeerAskedForIsKept) {
  EXPECT_TRUE(Fail(1, 2, 30 * kSecond)) << "at the first failure";
  breaker_.OnSuccess();
  breaker_.OnSignOfLife();
  EXPECT_EQ(breaker_.state(29 * kSecond), BreakerState::kOpen);
  EXPECT_EQ(breaker_.state(31 * kSecond), BreakerState::kClosed);
}

TEST_F(CircuitBreakerTest, APauseThatThePeerAskedForCountsWhileItIsOpen) {
  for (int64_t i = 1; i <= 3; ++i) Fail(i, 10);
  EXPECT_TRUE(Fail(2, 11, 600 * kSecond)) << "sent before it opened";
  EXPECT_FALSE(Fail(2, 12, 600 * kSecond)) << "the same once more";
  breaker_.OnSignOfLife();
  breaker_.OnSuccess();
  EXPECT_EQ(breaker_.state(599 * kSecond), BreakerState::kOpen);
}

TEST_F(CircuitBreakerTest, TheLongestPauseThatWasAskedForIsKept) {
  Fail(1, 2, kSecond);
  EXPECT_TRUE(Fail(1, 3, 60 * kSecond));
  EXPECT_FALSE(Fail(1, 4, 2 * kSecond));
  EXPECT_EQ(breaker_.open_until_ns(), 3 + 60 * kSecond);
  EXPECT_EQ(breaker_.state(61 * kSecond), BreakerState::kHalfOpen);
}

TEST_F(CircuitBreakerTest, ASignOfLifeEndsItsOwnPauseOnly) {
  Fail(1, 2, kSecond / 2);
  EXPECT_EQ(breaker_.state(kSecond - 1), BreakerState::kOpen) << "a second is its own";
  breaker_.OnSignOfLife();
  EXPECT_EQ(breaker_.state(kSecond / 2), BreakerState::kOpen);
  EXPECT_EQ(breaker_.state(kSecond * 3 / 4), BreakerState::kHalfOpen);
}

TEST_F(CircuitBreakerTest, ASignOfLifeLetsTheNextOneDecideNow) {
  for (int64_t i = 1; i <= 3; ++i) Fail(i, 10);
  breaker_.OnSignOfLife();
  EXPECT_EQ(breaker_.state(11), BreakerState::kHalfOpen);
}

TEST_F(CircuitBreakerTest, ASignOfLifeEndsTheDoubtOfAnUnansweredProbe) {
  breaker_.OnUnanswered();
  EXPECT_EQ(breaker_.state(1), BreakerState::kHalfOpen);
  breaker_.OnSignOfLife();
  EXPECT_EQ(breaker_.state(2), BreakerState::kClosed);
  breaker_.OnUnanswered();
  EXPECT_TRUE(Fail(3, 4)) << "the one that decides";
  breaker_.OnSignOfLife();
  EXPECT_EQ(breaker_.state(5), BreakerState::kHalfOpen);
  breaker_.OnUnanswered();
  breaker_.OnSuccess();
  EXPECT_EQ(breaker_.state(6), BreakerState::kClosed);
}

TEST(RetryBudgetTest, BoundsTheShareOfRepetitions) {
  RetryBudget budget({0.2, 10, 1000});
  int spent = 0;
  for (int i = 0; i < 1000; ++i) {
    budget.OnFirst();
    spent += budget.Spend(kSecond) ? 1 : 0;
  }
  EXPECT_NEAR(spent, 210, 2);
  for (int i = 0; i < 100; ++i) spent += budget.Spend(2 * kSecond) ? 1 : 0;
  EXPECT_NEAR(spent, 220, 2) << "ten a second are free";
}

}  // namespace
}  // namespace viaduct
