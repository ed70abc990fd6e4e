#include "host/node/spool_monitor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace viaduct {
namespace {

using ::testing::HasSubstr;

class SpoolMonitorTest : public testing::Test {
 protected:
  HealthState State() { return health_.Get("spool")->state; }
  std::string Reason() { return health_.Get("spool")->reason; }
  void Lose(SpoolDrop why, uint64_t count) { info_.dropped_by[static_cast<size_t>(why)] += count; }
  void Look() { monitor_.Look(info_); }

  FakeClock clock_;
  HealthTree health_{&clock_};
  Metrics metrics_;
  SpoolInfo info_;
  SpoolMonitor monitor_{&metrics_, &health_, &clock_, info_};
};

TEST_F(SpoolMonitorTest, WhatIsDroppedDegradesTheHealthForAWhile) {
  Look();
  EXPECT_EQ(State(), HealthState::kHealthy);
  Lose(SpoolDrop::kByHand, 5);
  Look();
  EXPECT_EQ(State(), HealthState::kHealthy) << "somebody knows";
  Lose(SpoolDrop::kFull, 3);
  Lose(SpoolDrop::kDeadLetters, 2);
  Look();
  EXPECT_EQ(State(), HealthState::kDegraded);
  EXPECT_THAT(Reason(), HasSubstr("3 messages dropped to make room, 2 dead letters"));
  clock_.Advance(absl::Nanoseconds(SpoolMonitor::kLossMemoryNs - 1));
  Look();
  EXPECT_EQ(State(), HealthState::kDegraded);
  clock_.Advance(absl::Nanoseconds(1));
  Look();
  EXPECT_EQ(State(), HealthState::kHealthy);
  info_.refused_by[static_cast<size_t>(SpoolRefusal::kDiskFull)] = 9;
  Look();
  EXPECT_EQ(State(), HealthState::kHealthy) << "the disk's own state says that";
  info_.refused_by[static_cast<size_t>(SpoolRefusal::kFull)] = 7;
  Look();
  EXPECT_EQ(Reason(), "lately 7 messages refused, 0 messages wait") << "the others are over";
}

TEST_F(SpoolMonitorTest, ARepairThatFailedIsToldWithItsReason) {
  info_.repair_error = "database or disk is full";
  Look();
  EXPECT_EQ(State(), HealthState::kUnhealthy);
  EXPECT_THAT(Reason(), HasSubstr("disk is full"));
  info_.repair_error.clear();
  Look();
  EXPECT_EQ(State(), HealthState::kHealthy);
}

TEST_F(SpoolMonitorTest, CountsByReason) {
  Lose(SpoolDrop::kFull, 3);
  Lose(SpoolDrop::kByHand, 1);
  info_.refused_by[static_cast<size_t>(SpoolRefusal::kDiskFull)] = 4;
  Look();
  Look();
  const std::string text = metrics_.ExpositionText();
  EXPECT_THAT(text, HasSubstr("viaduct_spool_dropped_total{reason=\"full\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("viaduct_spool_dropped_total{reason=\"by_hand\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("viaduct_spool_refused_total{reason=\"disk_full\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("viaduct_spool_refused_total{reason=\"too_fast\"} 0\n"));
}

}  // namespace
}  // namespace viaduct
