#include "core/gateway/road_monitor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class RoadMonitorTest : public ::testing::Test {
 protected:
  RoadMonitorTest() {
    clock_.Advance(absl::Hours(1));
    SetRoads();
  }
  void SetRoads() {
    monitor_.SetRoads({{"dear", true, [] { return true; }},
                       {"down", false, [] { return false; }},
                       {"north", false, [] { return true; }}});
  }
  std::vector<std::string> Look() {
    probed_.clear();
    monitor_.Look();
    return probed_;
  }
  void Answer(bool answered, int ms) {
    for (const auto& done : std::exchange(done_, {})) done({answered, absl::Milliseconds(ms), 150});
  }

  FakeClock clock_;
  TimerQueue timers_{&clock_};
  std::vector<std::string> probed_;
  std::vector<NetworkMonitor::DoneFn> done_;
  RoadMonitor monitor_{
      NetworkMonitor::Options(), &timers_, &clock_,
      [this](const std::string& road, absl::Duration, uint32_t, NetworkMonitor::DoneFn done) {
        probed_.push_back(road);
        done_.push_back(std::move(done));
        return true;
      }};
};

TEST_F(RoadMonitorTest, MeasuresWhatIsReadyAndNotMetered) {
  EXPECT_FALSE(monitor_.Read("north").has_value());
  EXPECT_THAT(Look(), ElementsAre("north"));
  clock_.Advance(absl::Minutes(1));
  EXPECT_THAT(Look(), IsEmpty());  // One is under way.
  Answer(true, 20);
  ASSERT_TRUE(monitor_.Read("north").has_value());
  EXPECT_EQ(monitor_.Read("north")->quality, LinkQuality::kExcellent);
  EXPECT_FALSE(monitor_.Read("down").has_value());
  EXPECT_FALSE(monitor_.Read("nobody").has_value());
}

TEST_F(RoadMonitorTest, AsksAgainSoonerWhereNobodyAnswers) {
  EXPECT_THAT(Look(), ElementsAre("north"));
  Answer(true, 20);
  clock_.Advance(absl::Seconds(6));
  EXPECT_THAT(Look(), IsEmpty());
  clock_.Advance(absl::Seconds(25));
  EXPECT_THAT(Look(), ElementsAre("north"));
  Answer(false, 0);
  clock_.Advance(absl::Seconds(6));
  EXPECT_THAT(Look(), ElementsAre("north"));
  Answer(false, 0);
  EXPECT_EQ(monitor_.Read("north")->quality, LinkQuality::kPoor);
}

TEST_F(RoadMonitorTest, WhatIsKnownStaysWithItsRoad) {
  Look();
  Answer(true, 20);
  SetRoads();
  EXPECT_TRUE(monitor_.Read("north").has_value());
  monitor_.SetRoads({});
  EXPECT_FALSE(monitor_.Read("north").has_value());
  Answer(true, 20);  // Of one that is gone.
  EXPECT_THAT(Look(), IsEmpty());
}

}  // namespace
}  // namespace viaduct
