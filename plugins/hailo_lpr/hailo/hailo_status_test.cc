#include "plugins/hailo_lpr/hailo/hailo_status.h"

#include <gtest/gtest.h>

#include <set>

namespace viaduct::hailo_lpr {
namespace {

TEST(HailoStatus, OnlySomeMayPass) {
  for (const hailort::Status status : {4, 36, 63, 64, 73, 74, 87}) {
    EXPECT_TRUE(MeaningOf(status).may_pass) << status;
    EXPECT_TRUE(absl::IsUnavailable(HailoError("Hailo device", status))) << status;
  }
  for (const hailort::Status status : {2, 13, 26, 76, 91, 92, 93}) {
    EXPECT_FALSE(MeaningOf(status).may_pass) << status;
    EXPECT_FALSE(absl::IsUnavailable(HailoError("Hailo device", status))) << status;
  }
}

TEST(HailoStatus, HasItsStateAndItsNumberForPeople) {
  EXPECT_EQ(MeaningOf(73).state, BackendState::kBusy);
  EXPECT_EQ(MeaningOf(74).state, BackendState::kNoDevice);
  EXPECT_EQ(MeaningOf(64).state, BackendState::kNoDriver);
  EXPECT_EQ(MeaningOf(76).state, BackendState::kDriverMismatch);
  EXPECT_EQ(MeaningOf(93).state, BackendState::kBadModel);
  EXPECT_EQ(HailoError("model: a.hef", 93).message(),
            "model: a.hef: the HEF is for another device (HailoRT status 93)");
  EXPECT_TRUE(absl::IsInvalidArgument(HailoError("model: a.hef", 93)));
  EXPECT_TRUE(absl::IsFailedPrecondition(HailoError("Hailo device", 76)));
}

TEST(HailoStatus, WhatIsNotKnownMayPass) {
  EXPECT_TRUE(MeaningOf(1234).may_pass);
  EXPECT_EQ(MeaningOf(1234).state, BackendState::kLost);
}

TEST(BackendState, EveryOneHasAName) {
  std::set<std::string> names;
  for (int state = 0; state <= static_cast<int>(BackendState::kFailed); ++state) {
    names.insert(BackendStateName(static_cast<BackendState>(state)));
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(BackendState::kFailed) + 1);
}

}  // namespace
}  // namespace viaduct::hailo_lpr
