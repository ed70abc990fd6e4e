#include "plugins/hailo_lpr/outbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace viaduct::hailo_lpr {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A node whose clock and answers the test has in its hands.
class OutboxTest : public ::testing::Test {
 protected:
  OutboxTest()
      : outbox_({[this](uint64_t token, const std::string& json) {
                   if (room_ == 0) return false;
                   --room_;
                   tokens_.push_back(token);
                   given_.push_back(json);
                   return true;
                 },
                 [this](absl::Duration delay) { wakes_.push_back(delay); }, [this] { return now_; },
                 [this](EventOutcome outcome, const absl::Status& /*status*/) {
                   const absl::MutexLock lock(&mutex_);  // Who adds and who stops both end.
                   outcomes_.push_back(outcome);
                 }}) {}

  void Add(const std::string& json) {
    outbox_.Add(json, [this](const absl::Status& status) { ends_.push_back(status.code()); });
  }

  size_t room_ = 100;
  absl::Time now_ = absl::UnixEpoch();
  std::vector<uint64_t> tokens_;
  std::vector<std::string> given_;
  std::vector<absl::Duration> wakes_;
  absl::Mutex mutex_;
  std::vector<EventOutcome> outcomes_ ABSL_GUARDED_BY(mutex_);
  std::vector<absl::StatusCode> ends_;
  Outbox outbox_;
};

TEST_F(OutboxTest, EndsWithTheWordOfTheNode) {
  Add("a");
  Add("b");
  EXPECT_THAT(given_, ElementsAre("a", "b"));
  EXPECT_THAT(ends_, IsEmpty());
  outbox_.OnDone(tokens_[1], EventOutcome::kDurable, absl::OkStatus(), {});
  outbox_.OnDone(tokens_[0], EventOutcome::kRejected, absl::InvalidArgumentError("no"), {});
  outbox_.OnDone(tokens_[0], EventOutcome::kDurable, absl::OkStatus(), {});
  EXPECT_THAT(ends_, ElementsAre(absl::StatusCode::kOk, absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(outbox_.size(), 0u);
  EXPECT_TRUE(outbox_.Drain(absl::ZeroDuration()));
}

TEST_F(OutboxTest, WhatIsNotTakenWaitsForRoom) {
  room_ = 0;
  Add("a");
  Add("b");
  EXPECT_THAT(given_, IsEmpty());
  room_ = 2;
  outbox_.OnRoom();
  EXPECT_THAT(given_, ElementsAre("a", "b"));
}

TEST_F(OutboxTest, TriesAgainLaterAndLater) {
  Add("a");
  for (int i = 0; i < 10; ++i) {
    outbox_.OnDone(tokens_.back(), EventOutcome::kRetry, absl::UnavailableError("full"), {});
    const size_t before = given_.size();
    outbox_.OnRoom();  // Before its time.
    EXPECT_EQ(given_.size(), before);
    now_ += wakes_.back();
    outbox_.OnRoom();
    EXPECT_EQ(given_.size(), before + 1);
  }
  EXPECT_EQ(wakes_.front(), Outbox::kFirstRetry);
  EXPECT_EQ(wakes_.back(), Outbox::kLongestRetry);
  EXPECT_FALSE(outbox_.Drain(absl::ZeroDuration()));
  outbox_.OnDone(tokens_.back(), EventOutcome::kRetry, absl::UnavailableError("full"),
                 absl::Minutes(5));
  EXPECT_EQ(wakes_.back(), absl::Minutes(5));
}

TEST_F(OutboxTest, StopEndsAllAndWhoWaitsForRoom) {
  room_ = Outbox::kMostEvents;
  for (size_t i = 0; i < Outbox::kMostEvents; ++i) Add("x");
  std::thread waits([this] { outbox_.Add("one too many", nullptr); });
  outbox_.Stop();
  waits.join();
  EXPECT_THAT(ends_, SizeIs(Outbox::kMostEvents));
  EXPECT_THAT(given_, SizeIs(Outbox::kMostEvents));
  const absl::MutexLock lock(&mutex_);
  EXPECT_EQ(outcomes_.size(), Outbox::kMostEvents + 1);
}

}  // namespace
}  // namespace viaduct::hailo_lpr
