#include "core/receive/arrivals.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace viaduct {
namespace {

FileAnnouncement Of(const std::string& id, const std::string& name) {
  FileAnnouncement announcement;
  announcement.transfer_id = id;
  announcement.device_id = name.substr(0, name.find('/'));
  announcement.file.name = name;
  return announcement;
}

class ArrivalsTest : public testing::Test {
 protected:
  ArrivalsTest() { Make({}); }
  ~ArrivalsTest() override {
    while (!checks_.empty()) Finish(absl::OkStatus());
  }
  void Make(ArrivalsOptions options) {
    arrivals_ = std::make_unique<Arrivals>(
        options, [this](const FileAnnouncement& a, std::function<void(absl::Status)> done) {
          checks_.emplace_back(a.transfer_id, std::move(done));
        });
  }
  // Ends the check that was begun first; its transfer.
  std::string Finish(absl::Status status) {
    if (checks_.empty()) return "none";
    auto [id, done] = std::move(checks_.front());
    checks_.pop_front();
    done(std::move(status));
    return id;
  }
  std::string Missing() { return Finish(absl::NotFoundError("not there")); }

  std::deque<std::pair<std::string, std::function<void(absl::Status)>>> checks_;
  std::unique_ptr<Arrivals> arrivals_;
};

TEST_F(ArrivalsTest, EitherOrder) {
  arrivals_->Hint("CAM1/a");  // Nobody has announced it.
  EXPECT_TRUE(checks_.empty());
  ASSERT_TRUE(arrivals_->Announce(Of("1", "CAM1/a")).ok());
  EXPECT_EQ(Finish(absl::OkStatus()), "1");
  EXPECT_EQ(arrivals_->waiting(), 0u);
  ASSERT_TRUE(arrivals_->Announce(Of("2", "CAM1/b")).ok());
  EXPECT_EQ(Missing(), "2");
  EXPECT_EQ(arrivals_->WaitingFor("CAM1/b"), 1u);
  arrivals_->Hint("CAM1/other");
  EXPECT_TRUE(checks_.empty());
  arrivals_->Hint("CAM1/b");
  EXPECT_EQ(Finish(absl::DataLossError("another one")), "2");
  EXPECT_EQ(arrivals_->WaitingFor("CAM1/b"), 0u);
}

TEST_F(ArrivalsTest, WhatIsToldNowCounts) {
  ASSERT_TRUE(arrivals_->Announce(Of("1", "CAM1/a")).ok());
  ASSERT_TRUE(arrivals_->Announce(Of("1", "CAM1/b")).ok());
  EXPECT_EQ(arrivals_->WaitingFor("CAM1/a"), 0u);
  EXPECT_EQ(arrivals_->WaitingFor("CAM1/b"), 1u);
  EXPECT_EQ(Finish(absl::OkStatus()), "1") << "of what was told before";
  EXPECT_EQ(arrivals_->waiting(), 1u);
  EXPECT_EQ(Finish(absl::DataLossError("another one")), "1");
  EXPECT_EQ(arrivals_->waiting(), 0u);
}

TEST_F(ArrivalsTest, AHintDuringACheckIsNotLost) {
  ASSERT_TRUE(arrivals_->Announce(Of("1", "CAM1/a")).ok());
  arrivals_->Hint("CAM1/a");
  arrivals_->Hint("CAM1/a");
  EXPECT_EQ(checks_.size(), 1u);
  EXPECT_EQ(Missing(), "1");
  EXPECT_EQ(checks_.size(), 1u);
  EXPECT_EQ(Finish(absl::OkStatus()), "1");
  EXPECT_TRUE(checks_.empty());
}

TEST_F(ArrivalsTest, AnnouncedAgainItIsLookedForAgain) {
  ASSERT_TRUE(arrivals_->Announce(Of("1", "CAM1/a")).ok());
  Missing();
  ASSERT_TRUE(arrivals_->Announce(Of("1", "CAM1/a")).ok());
  EXPECT_EQ(arrivals_->waiting(), 1u);
  EXPECT_EQ(Finish(absl::OkStatus()), "1");
  ASSERT_TRUE(arrivals_->Announce(Of("1", "CAM1/a")).ok());
  EXPECT_EQ(checks_.size(), 1u);
}

TEST_F(ArrivalsTest, TwoOfOneNameAreBothCompared) {
  ASSERT_TRUE(arrivals_->Announce(Of("1", "CAM1/a")).ok());
  ASSERT_TRUE(arrivals_->Announce(Of("2", "CAM1/a")).ok());
  EXPECT_EQ(arrivals_->WaitingFor("CAM1/a"), 2u);
  EXPECT_EQ(Missing(), "1");
  EXPECT_EQ(Missing(), "2");
  arrivals_->Hint("CAM1/a");
  EXPECT_EQ(Finish(absl::DataLossError("of the other")), "1");
  EXPECT_EQ(arrivals_->WaitingFor("CAM1/a"), 1u);
  EXPECT_EQ(Finish(absl::OkStatus()), "2");
  EXPECT_EQ(arrivals_->waiting(), 0u);
}

TEST_F(ArrivalsTest, ComparesAFewAtOnceInOrder) {
  for (const char* id : {"1", "2", "3", "4"}) {
    ASSERT_TRUE(arrivals_->Announce(Of(id, std::string("CAM1/") + id)).ok());
  }
  EXPECT_EQ(checks_.size(), 2u);
  for (const char* id : {"1", "2", "3", "4"}) EXPECT_EQ(Finish(absl::OkStatus()), id);
  EXPECT_EQ(arrivals_->waiting(), 0u);
}

TEST_F(ArrivalsTest, HasRoomForEachDevice) {
  ArrivalsOptions options;
  options.max_waiting = 5;
  options.max_waiting_per_device = 3;
  Make(options);
  const auto announce = [&](const std::string& device, int i) {
    const absl::Status status =
        arrivals_->Announce(Of(device + std::to_string(i), device + "/" + std::to_string(i)));
    while (!checks_.empty()) Missing();
    return status.code();
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(announce("CAM1", i), absl::StatusCode::kOk);
  EXPECT_EQ(announce("CAM1", 3), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(announce("CAM1", 2), absl::StatusCode::kOk);  // Known.
  EXPECT_EQ(announce("CAM2", 0), absl::StatusCode::kOk);
  EXPECT_EQ(announce("CAM3", 0), absl::StatusCode::kOk);
  EXPECT_EQ(announce("CAM3", 1), absl::StatusCode::kResourceExhausted);
  arrivals_->Forget("CAM10");
  EXPECT_EQ(announce("CAM1", 3), absl::StatusCode::kOk);
  EXPECT_EQ(arrivals_->waiting(), 5u);
}

TEST_F(ArrivalsTest, ForgetsAlsoWhatIsBeingComparedOrQueued) {
  for (const char* id : {"1", "2", "3"}) {
    ASSERT_TRUE(arrivals_->Announce(Of(id, std::string("CAM1/") + id)).ok());
  }
  arrivals_->Forget("1");
  arrivals_->Forget("3");
  arrivals_->Forget("unknown");
  EXPECT_EQ(Missing(), "1");
  EXPECT_EQ(Missing(), "2");
  EXPECT_TRUE(checks_.empty());
  EXPECT_EQ(arrivals_->waiting(), 1u);
}

TEST_F(ArrivalsTest, EndsWithWhatItBegan) {
  std::vector<std::thread> threads;
  auto arrivals = std::make_unique<Arrivals>(
      ArrivalsOptions(), [&](const FileAnnouncement&, std::function<void(absl::Status)> done) {
        threads.emplace_back([done = std::move(done)] { done(absl::OkStatus()); });
      });
  ASSERT_TRUE(arrivals->Announce(Of("1", "CAM1/a")).ok());
  arrivals.reset();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace viaduct
