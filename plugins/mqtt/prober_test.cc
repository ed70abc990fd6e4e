#include "plugins/mqtt/prober.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace viaduct::mqtt {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kRequest = Prober::RequestBytes(24);

class ProberTest : public ::testing::Test {
 protected:
  using Result = std::pair<absl::Status, absl::Duration>;

  bool Ask(int64_t deadline_ns) {
    return prober_.Ask(deadline_ns, [this](const absl::Status& status, absl::Duration trip,
                                           const ProbeCost& cost) {
      results_.emplace_back(status, trip);
      cost_ = cost;
    });
  }
  absl::Duration Turn(int64_t now_ns) {
    return prober_.OnTurn(now_ns, kRequest, [this]() -> absl::StatusOr<int> { return next_id_; });
  }

  Prober prober_;
  int next_id_ = 1;
  std::vector<Result> results_;
  ProbeCost cost_;  // Of the last.
};

TEST_F(ProberTest, MeasuresFromTheSendingToTheAnswer) {
  EXPECT_EQ(Turn(0), absl::InfiniteDuration()) << "nobody asks";
  ASSERT_TRUE(Ask(5 * kSecondNs));
  next_id_ = 0;  // Not connected.
  EXPECT_EQ(Turn(1 * kSecondNs), absl::Seconds(4));
  next_id_ = 7;
  EXPECT_EQ(Turn(2 * kSecondNs), absl::Seconds(3));
  prober_.OnAnswer(6, 2 * kSecondNs);
  EXPECT_TRUE(results_.empty());
  prober_.OnAnswer(7, 3 * kSecondNs);
  ASSERT_EQ(results_.size(), 1u);
  EXPECT_TRUE(results_[0].first.ok());
  EXPECT_EQ(results_[0].second, absl::Seconds(1));
  EXPECT_EQ(cost_.sent, 31u);
  EXPECT_EQ(cost_.received, 6u);
  prober_.OnAnswer(7, 4 * kSecondNs);
  EXPECT_EQ(results_.size(), 1u);
}

TEST_F(ProberTest, TakesOneAtATime) {
  ASSERT_TRUE(Ask(5 * kSecondNs));
  EXPECT_FALSE(Ask(5 * kSecondNs));
  Turn(0);
  prober_.OnAnswer(1, 1);
  EXPECT_EQ(results_.size(), 1u);
  EXPECT_TRUE(Ask(5 * kSecondNs));
}

TEST_F(ProberTest, EndsAtItsDeadlineAndTakesNoLateAnswerForTheNext) {
  ASSERT_TRUE(Ask(1 * kSecondNs));
  Turn(0);
  Turn(1 * kSecondNs);
  ASSERT_EQ(results_.size(), 1u);
  EXPECT_EQ(results_[0].first.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(cost_.sent, kRequest);
  EXPECT_EQ(cost_.received, 0u);
  ASSERT_TRUE(Ask(5 * kSecondNs));
  prober_.OnAnswer(1, 2 * kSecondNs);
  next_id_ = 2;
  Turn(2 * kSecondNs);
  prober_.OnAnswer(1, 2 * kSecondNs);
  EXPECT_EQ(results_.size(), 1u);
  prober_.OnAnswer(2, 3 * kSecondNs);
  ASSERT_EQ(results_.size(), 2u);
  EXPECT_EQ(results_[1].second, absl::Seconds(1));
}

TEST_F(ProberTest, SaysWhyTheSessionHasEnded) {
  ASSERT_TRUE(Ask(kSecondNs));
  prober_.End(absl::UnavailableError("broker: closed the connection"));
  ASSERT_EQ(results_.size(), 1u);
  EXPECT_EQ(results_[0].first.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(Ask(kSecondNs)) << "it ends at once";
  ASSERT_EQ(results_.size(), 2u);
  EXPECT_EQ(results_[1].first, results_[0].first);
}

TEST_F(ProberTest, StopEndsItAsCancelled) {
  ASSERT_TRUE(Ask(kSecondNs));
  prober_.End(absl::OkStatus());
  ASSERT_EQ(results_.size(), 1u);
  EXPECT_EQ(results_[0].first.code(), absl::StatusCode::kCancelled);
}

TEST_F(ProberTest, AsksABrokerThatDoesNotAnswerNoFurther) {
  int64_t now_ns = 0;
  const auto probe = [&] {
    ASSERT_TRUE(Ask(now_ns + kSecondNs));
    Turn(now_ns);
    Turn(now_ns += kSecondNs);
    ++next_id_;
  };
  for (size_t i = 0; i < Prober::kMaxUnanswered; ++i) probe();
  EXPECT_EQ(results_.back().first.code(), absl::StatusCode::kDeadlineExceeded);
  probe();
  EXPECT_EQ(results_.back().first.code(), absl::StatusCode::kUnavailable);
  prober_.OnAnswer(1, now_ns);
  probe();
  EXPECT_EQ(results_.back().first.code(), absl::StatusCode::kDeadlineExceeded) << "sent again";
}

}  // namespace
}  // namespace viaduct::mqtt
