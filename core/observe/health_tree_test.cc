#include "core/observe/health_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

using ::testing::SizeIs;

class HealthTreeTest : public ::testing::Test {
 protected:
  FakeClock clock_;
  HealthTree tree_{&clock_};
};

TEST_F(HealthTreeTest, KeepsWhenAStateBeganOverNewReasons) {
  const absl::Time began = clock_.Now();
  tree_.Set("spool", HealthState::kDegraded, "80 % full");
  clock_.Advance(absl::Seconds(5));
  tree_.Set("spool", HealthState::kDegraded, "90 % full");
  ComponentHealth health = *tree_.Get("spool");
  EXPECT_EQ(health.reason, "90 % full");
  EXPECT_EQ(health.since, began);
  tree_.Set("spool", HealthState::kHealthy);
  EXPECT_EQ(tree_.Get("spool")->since, began + absl::Seconds(5));
}

TEST_F(HealthTreeTest, OneRoadThatIsDownDoesNotMakeTheNodeUnhealthy) {
  EXPECT_EQ(tree_.Aggregate().state, HealthState::kHealthy);
  tree_.Set("store", HealthState::kHealthy);
  tree_.Set("instance/http", HealthState::kUnhealthy, "connection refused");
  EXPECT_EQ(tree_.Aggregate().state, HealthState::kDegraded);
  EXPECT_EQ(tree_.Aggregate().reason, "instance/http: connection refused");
  tree_.Set("store", HealthState::kUnhealthy, "disk full");
  EXPECT_EQ(tree_.Aggregate().state, HealthState::kUnhealthy);
  EXPECT_EQ(tree_.Aggregate().reason, "store: disk full");
}

TEST_F(HealthTreeTest, TellsChangesOnceAndNothingElse) {
  tree_.Set("store", HealthState::kHealthy);
  std::vector<ComponentHealth> seen;
  std::vector<ComponentHealth> snapshot;
  auto subscription =
      tree_.Subscribe([&](const ComponentHealth& change) { seen.push_back(change); }, &snapshot);
  ASSERT_TRUE(subscription.ok());
  ASSERT_THAT(snapshot, SizeIs(1));
  tree_.Set("store", HealthState::kHealthy);  // The same again.
  tree_.Set("instance/a", HealthState::kUnhealthy, "x");
  tree_.Remove("instance/a");
  tree_.Remove("instance/a");
  ASSERT_THAT(seen, SizeIs(2));
  EXPECT_FALSE(seen[0].removed);
  EXPECT_TRUE(seen[1].removed);
  EXPECT_GT(seen[0].version, snapshot[0].version);
  EXPECT_GT(seen[1].version, seen[0].version);
  subscription->reset();
  tree_.Set("instance/a", HealthState::kHealthy);
  EXPECT_THAT(seen, SizeIs(2));
}

TEST_F(HealthTreeTest, IsBounded) {
  for (size_t i = 0; i < HealthTree::kMaxComponents + 3; ++i) {
    tree_.Set(absl::StrCat("instance/", i), HealthState::kHealthy);
  }
  tree_.Set(std::string(HealthTree::kMaxNameBytes + 1, 'x'), HealthState::kHealthy);
  EXPECT_THAT(tree_.List(), SizeIs(HealthTree::kMaxComponents));
  EXPECT_EQ(tree_.refused(), 4u);
  tree_.Set("instance/0", HealthState::kUnhealthy, std::string(5000, 'r'));
  EXPECT_EQ(tree_.Get("instance/0")->reason.size(), HealthTree::kMaxReasonBytes);
  std::vector<std::unique_ptr<HealthSubscription>> all;
  for (size_t i = 0; i < HealthTree::kMaxSubscribers; ++i) {
    all.push_back(*tree_.Subscribe([](const ComponentHealth&) {}, nullptr));
  }
  EXPECT_EQ(tree_.Subscribe([](const ComponentHealth&) {}, nullptr).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(HealthTreeTest, NoCallbackRunsAfterTheSubscriptionIsGone) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 500; ++i) {
        tree_.Set(absl::StrCat("instance/", t),
                  i % 2 == 0 ? HealthState::kHealthy : HealthState::kUnhealthy);
      }
    });
  }
  for (int i = 0; i < 200; ++i) {
    bool gone = false;
    auto subscription =
        tree_.Subscribe([&gone](const ComponentHealth&) { EXPECT_FALSE(gone); }, nullptr);
    ASSERT_TRUE(subscription.ok());
    subscription->reset();
    gone = true;
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace viaduct
