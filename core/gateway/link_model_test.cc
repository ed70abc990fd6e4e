#include "core/gateway/link_model.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>

namespace viaduct {
namespace {

constexpr uint64_t kUsual = 607;  // Bytes of a detection.

// A road that was cut and healed, or fell asleep, or was held up in any way: what waits is
// confirmed all at once, or late, or behind more and more.
LinkModel AfterTrouble(uint32_t seed) {
  std::mt19937 random(seed);
  const auto any = [&random](double from, double to) {
    return std::uniform_real_distribution<double>(from, to)(random);
  };
  LinkModel model;
  for (int burst = 0; burst < 20; ++burst) {
    const auto waiting = static_cast<int>(any(1, 200));
    const double first = any(0, 5);
    const double each = any(-0.05, 0.05);
    for (int i = 0; i < waiting; ++i) {
      const double seconds = first + each * i;
      model.OnConfirmed(kUsual * static_cast<uint64_t>(i + 1), seconds < 0 ? 0 : seconds);
    }
    if (any(0, 1) < 0.5) model.OnFailed(any(0, 5));
    model.OnTime(any(0, 30));
  }
  return model;
}

TEST(LinkModelTest, FindsTheBaseAndTheSlopeAndFollowsThem) {
  LinkModel model;
  for (int i = 0; i < 200; ++i) {
    const uint64_t bytes = static_cast<uint64_t>(i % 10) * 20'000;
    model.OnConfirmed(bytes, 0.08 + static_cast<double>(bytes) / 32'000);
  }
  EXPECT_NEAR(model.base_seconds(), 0.08, 0.01);
  EXPECT_NEAR(model.bytes_per_second(), 32'000, 1'000);
  EXPECT_NEAR(model.ExpectedSeconds(320'000), 10.08, 0.3);
  for (int i = 0; i < 400; ++i) {
    const uint64_t bytes = static_cast<uint64_t>(i % 10) * 20'000;
    model.OnConfirmed(bytes, 0.4 + static_cast<double>(bytes) / 4'000);
  }
  EXPECT_NEAR(model.ExpectedSeconds(4'000), 1.4, 0.3);
}

TEST(LinkModelTest, OneThatHungDoesNotCondemnALink) {
  LinkModel model;
  for (int i = 0; i < 100; ++i) model.OnConfirmed(300, 0.02);
  model.OnConfirmed(300, 600);
  EXPECT_LT(model.ExpectedSeconds(300), 0.3);
}

TEST(LinkModelTest, TimeForgivesWhatALinkWasOnce) {
  LinkModel model;
  for (int i = 0; i < 100; ++i) model.OnConfirmed(300, 2);
  for (int i = 0; i < 10; ++i) model.OnFailed(2);
  for (int i = 0; i < 30; ++i) model.OnTime(1);
  EXPECT_NEAR(model.ExpectedSeconds(300), 2, 0.5) << "no failure counts for ever";
  model.OnConfirmed(300, 0.02);
  model.OnTime(30);
  model.OnTime(30);
  model.OnConfirmed(300, 0.02);
  EXPECT_LT(model.ExpectedSeconds(300), 0.5);
}

TEST(LinkModelTest, TimeTakesNothingFromALinkInUse) {
  LinkModel model;
  for (int i = 0; i < 100; ++i) model.OnConfirmed(300, 0.1), model.OnTime(1);
  model.OnConfirmed(300, 0.5);
  EXPECT_LT(model.ExpectedSeconds(300), 0.15);
}

TEST(LinkModelTest, StaysFiniteWhateverComes) {
  LinkModel model;
  for (int i = 0; i < 100'000; ++i) {
    model.OnConfirmed(static_cast<uint64_t>(i) * 977 % 20'000'000, i % 7 == 0 ? 1e9 : 0);
    if (i % 3 == 0) model.OnFailed(1e6);
    if (i % 5 == 0) model.OnProbe(0.1);
    if (i % 11 == 0) model.OnTime(i % 13 * 100);
    const double expected = model.ExpectedSeconds(1'000'000);
    ASSERT_TRUE(expected > 0 && expected < 1e12) << i;
  }
}

// Base and slope are both within bounds: at a bound, one step must not push the other away.
TEST(LinkModelTest, WhateverWasAtFirstASteadyLinkIsKnownSoon) {
  for (uint32_t seed = 1; seed <= 300; ++seed) {
    LinkModel model = AfterTrouble(seed);
    for (int i = 0; i < 400; ++i) {
      model.OnConfirmed(kUsual, 0.01);
      if (i % 20 == 0) model.OnTime(1);
    }
    ASSERT_NEAR(model.ExpectedSeconds(kUsual), 0.01, 0.005) << "seed " << seed;
  }
}

TEST(LinkModelTest, WhateverWasAtFirstALinkThatIsOnlyTriedIsKnownSoon) {
  for (uint32_t seed = 1; seed <= 300; ++seed) {
    LinkModel model = AfterTrouble(seed);
    for (int second = 0; second < 120; ++second) {
      model.OnTime(1);
      model.OnProbe(0.008);
      if (second % 3 == 0) model.OnConfirmed(kUsual, 0.01);
    }
    ASSERT_LT(model.ExpectedSeconds(kUsual), 0.03) << "seed " << seed;
  }
}

}  // namespace
}  // namespace viaduct
