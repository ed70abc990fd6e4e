// Over a real spool, with a clock that stands still and roads that are as the test says.
#include "host/node/gateway_reporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "core/spool/spool_test_support.h"
#include "host/node/testing/counting_executor.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;

class GatewayReporterTest : public ::testing::Test {
 protected:
  GatewayReporterTest() : timers_(&clock_) {
    SetRoad("uplink", "ready");
    OpenSpool();
    Begin();
  }
  ~GatewayReporterTest() override { timers_.Stop(); }

  void OpenSpool() {
    SpoolOptions spool;
    spool.path = folder_.File("spool.db");
    spool.confirm_delay = absl::ZeroDuration();
    spool.max_rejects = 1;
    spool_ = *Spool::Open(spool, &clock_, &log_);
  }
  void Begin() {
    GatewayReporter::Deps deps;
    deps.node_id = "EDGE1";
    deps.clock = &clock_;
    deps.timers = &timers_;
    deps.executor = &executor_;
    deps.log = &log_;
    deps.spool = spool_.get();
    deps.roads = [this] {
      absl::MutexLock lock(&mutex_);
      return report_;
    };
    deps.files = [] { return std::vector<FileReport>(); };
    deps.submit = [this](Envelope envelope, const std::function<void(absl::Status)>& done) {
      ++submitted_;
      done(AppendOne(spool_.get(), std::move(envelope)));
    };
    reporters_.push_back(std::make_unique<GatewayReporter>(absl::Seconds(60), std::move(deps)));
    reporters_.back()->Start();
  }
  // So many looks, a second apart.
  void Pass(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      const int wanted = executor_.count + 1;
      clock_.Advance(GatewayReporter::kLookEvery);
      timers_.Wake();
      ASSERT_TRUE(WaitFor([&] { return executor_.count == wanted; }));
    }
  }
  void SetRoad(const std::string& name, const std::string& state, bool metered = false,
               int64_t confirmed = 0) {
    absl::MutexLock lock(&mutex_);
    for (RoadReport& road : report_.links) {
      if (road.name != name) continue;
      road.state = state;
      road.metered = metered;
      road.confirmed = confirmed;
      return;
    }
    RoadReport road;
    road.name = name;
    road.state = state;
    road.metered = metered;
    road.confirmed = confirmed;
    report_.links.push_back(std::move(road));
  }
  void Switch(const std::string& from, const std::string& to) {
    absl::MutexLock lock(&mutex_);
    report_.switches.push_back({clock_.Now(), from, to, "not_best", ""});
  }
  // The server has all that waits.
  std::vector<OutboxMessage> Deliver() {
    std::vector<OutboxMessage> messages = ClaimAll(spool_.get());
    SettleAll(spool_.get(), messages, SettleKind::kConfirmed);
    EXPECT_TRUE(WaitFor([this] { return spool_->Info().messages == 0; }));
    return messages;
  }

  FakeClock clock_;
  NullLog log_;
  TestFolder folder_;
  TimerQueue timers_;
  CountingExecutor executor_;
  std::unique_ptr<Spool> spool_;
  absl::Mutex mutex_;
  GatewayReport report_ ABSL_GUARDED_BY(mutex_);
  std::atomic<int> submitted_{0};
  std::vector<std::unique_ptr<GatewayReporter>> reporters_;
};

TEST_F(GatewayReporterTest, TellsOfTheRoadsEveryInterval) {
  Pass(6);
  const std::vector<OutboxMessage> first = Deliver();
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].edge_device_id, "EDGE1");
  EXPECT_EQ(first[0].data_type, DataType::kHealth);
  EXPECT_EQ(first[0].priority, Priority::kLow);
  EXPECT_THAT(first[0].envelope_json, HasSubstr(R"("message":"1 of 1 roads are ready")"));
  EXPECT_THAT(first[0].envelope_json, HasSubstr(R"("interval_s":60)"));
  Pass(58);
  EXPECT_EQ(submitted_, 1);
  Pass(3);
  EXPECT_EQ(submitted_, 2);
}

TEST_F(GatewayReporterTest, ARoadThatGoesDownOrIsLeftIsToldOfSoonButNotTooOften) {
  Pass(6);
  Deliver();
  SetRoad("uplink", "offline");
  Pass(6);
  EXPECT_EQ(submitted_, 2);
  Deliver();
  for (int i = 0; i < 10; ++i) {  // It flaps.
    SetRoad("uplink", i % 2 == 0 ? "ready" : "offline");
    Pass(1);
    Deliver();
  }
  EXPECT_LE(submitted_, 4);
  EXPECT_GE(submitted_, 3);
  Pass(6);
  Deliver();
  const int before = submitted_;
  Switch("", "uplink");  // The first choice for some kind of message.
  Pass(10);
  EXPECT_EQ(submitted_, before);
  Switch("uplink", "other");
  Pass(6);
  EXPECT_EQ(submitted_, before + 1);
}

TEST_F(GatewayReporterTest, ALongOutageLeavesOneReport) {
  Pass(6);
  EXPECT_EQ(submitted_, 1);
  SetRoad("uplink", "offline");
  Pass(300);
  EXPECT_EQ(submitted_, 1) << "the first still waits";
  EXPECT_EQ(spool_->Info().messages, 1u);
  ClaimAll(spool_.get());
  Pass(100);
  EXPECT_EQ(submitted_, 1) << "it is under way";
}

TEST_F(GatewayReporterTest, WhatAnEarlierRunLeftWaitsToo) {
  Pass(6);
  ASSERT_EQ(submitted_, 1);
  const int looks = executor_.count;
  Begin();  // As after a restart: it knows nothing. The one before looks on.
  clock_.Advance(absl::Seconds(120));
  timers_.Wake();
  ASSERT_TRUE(WaitFor([&] { return executor_.count >= looks + 2; }));
  EXPECT_EQ(submitted_, 1);
}

TEST_F(GatewayReporterTest, OtherMessagesHoldNoReportUp) {
  for (const Priority priority : {Priority::kHigh, Priority::kNormal, Priority::kLow}) {
    ASSERT_TRUE(AppendOne(spool_.get(), TestEnvelope("m", priority)).ok());
    ASSERT_TRUE(AppendOne(spool_.get(), TestEnvelope("h", priority, 10, DataType::kHealth)).ok());
  }
  Pass(6);
  EXPECT_EQ(submitted_, 1);
}

TEST_F(GatewayReporterTest, AMeteredRoadIsNotUsedForReportsAlone) {
  SetRoad("uplink", "offline");
  SetRoad("lte", "ready", true);
  Pass(100);
  EXPECT_EQ(submitted_, 0) << "nothing else goes over it";
  SetRoad("lte", "ready", true, 3);
  Pass(10);
  EXPECT_EQ(submitted_, 1);
  Deliver();
  SetRoad("lte", "ready", true, 4);  // The report itself.
  Pass(200);
  EXPECT_EQ(submitted_, 1);
  SetRoad("lte", "ready", true, 5);
  Pass(10);
  EXPECT_EQ(submitted_, 2);
  Deliver();
  SetRoad("uplink", "ready");
  Pass(10);
  EXPECT_EQ(submitted_, 3);
}

TEST_F(GatewayReporterTest, AServerThatRefusesThemIsToldLessOften) {
  Pass(6);
  SettleAll(spool_.get(), ClaimAll(spool_.get()), SettleKind::kReject, 0, "not your camera");
  ASSERT_TRUE(WaitFor([this] { return spool_->Info().rejected == 1; }));
  SetRoad("uplink", "offline");
  Pass(200);
  EXPECT_EQ(submitted_, 1);
  clock_.Advance(GatewayReporter::kAfterRefusal);
  Pass(2);
  EXPECT_EQ(submitted_, 2);
}

TEST_F(GatewayReporterTest, ANodeWithoutRoadsSaysNothing) {
  {
    absl::MutexLock lock(&mutex_);
    report_.links.clear();
  }
  Pass(100);
  EXPECT_EQ(submitted_, 0);
}

}  // namespace
}  // namespace viaduct
