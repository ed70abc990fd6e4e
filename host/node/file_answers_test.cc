#include "host/node/file_answers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

using ::testing::SizeIs;

class FileAnswersTest : public ::testing::Test {
 protected:
  static FileAnswer Of(const std::string& node, int n) {
    FileAnswer answer;
    answer.transfer_id = absl::StrCat("t-", n);
    answer.device_id = "CAM001";
    answer.node_id = node;
    answer.state = FileState::kFailed;
    answer.sha256 = "ab";
    answer.detail = "size: \"another\"";
    return answer;
  }
  void End(absl::Status status) {
    ASSERT_FALSE(sent_.empty());
    auto [order, done] = std::move(sent_.front());
    sent_.pop_front();
    OrderResult result;
    result.status = std::move(status);
    done(std::move(result));
  }

  std::deque<std::pair<Order, Fleet::OrderFn>> sent_;
  FileAnswers answers_{[this](Order order, Fleet::OrderFn done) {
    sent_.emplace_back(std::move(order), std::move(done));
  }};
};

TEST_F(FileAnswersTest, GoToTheNodeThatSendsOrElseToTheDevice) {
  answers_.Post(Of("EDGE1", 1));
  answers_.Post(Of("", 2));
  ASSERT_THAT(sent_, SizeIs(2));
  EXPECT_EQ(sent_[0].first.device_id, "EDGE1");
  EXPECT_EQ(sent_[0].first.command, "file_transfer_status");
  EXPECT_EQ(sent_[1].first.device_id, "CAM001");
  const auto said = nlohmann::json::parse(sent_[0].first.arguments_json);
  EXPECT_EQ(said["transfer_id"], "t-1");
  EXPECT_EQ(said["status"], "failed");
  EXPECT_EQ(said["sha256"], "ab");
  EXPECT_EQ(said["detail"], "size: \"another\"");
  End(absl::OkStatus());
  End(absl::OkStatus());
}

TEST_F(FileAnswersTest, AFewAtATimeOfADeviceAndAllOfThem) {
  constexpr int kAnswers = 50;
  for (int i = 0; i < kAnswers; ++i) answers_.Post(Of("EDGE1", i));
  EXPECT_THAT(sent_, SizeIs(FileAnswers::kMaxUnderWayOfDevice));
  for (int i = 0; i < kAnswers; ++i) {
    ASSERT_FALSE(sent_.empty());
    EXPECT_EQ(nlohmann::json::parse(sent_.front().first.arguments_json)["transfer_id"],
              absl::StrCat("t-", i));
    End(absl::OkStatus());
  }
  EXPECT_TRUE(sent_.empty());
  EXPECT_EQ(answers_.dropped(), 0u);
}

TEST_F(FileAnswersTest, WhoCannotBeReachedHearsNothing) {
  for (int i = 0; i < 20; ++i) answers_.Post(Of("EDGE1", i));
  while (!sent_.empty()) End(absl::UnavailableError("no road"));
  EXPECT_EQ(answers_.dropped(), 20u);
  answers_.Post(Of("EDGE1", 21));
  EXPECT_THAT(sent_, SizeIs(1));
  End(absl::OkStatus());
}

TEST_F(FileAnswersTest, WhatFindsNoRoomIsSentLater) {
  answers_.Post(Of("EDGE1", 1));
  answers_.Post(Of("EDGE2", 2));
  End(absl::ResourceExhaustedError("too many orders"));
  ASSERT_THAT(sent_, SizeIs(1));
  End(absl::OkStatus());  // That of EDGE2 makes room.
  ASSERT_THAT(sent_, SizeIs(1));
  EXPECT_EQ(sent_[0].first.device_id, "EDGE1");
  End(absl::OkStatus());
}

TEST_F(FileAnswersTest, HoldsOnlySoMany) {
  for (size_t i = 0; i < FileAnswers::kMaxQueuedOfDevice + 100; ++i) answers_.Post(Of("EDGE1", 0));
  EXPECT_EQ(answers_.dropped(), 100 - FileAnswers::kMaxUnderWayOfDevice);
  while (!sent_.empty()) End(absl::OkStatus());
}

}  // namespace
}  // namespace viaduct
