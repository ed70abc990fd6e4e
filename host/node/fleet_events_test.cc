#include "host/node/fleet_events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Json = nlohmann::json;

constexpr absl::Duration kDeadline = absl::Seconds(30);

class Recorder final : public Publisher {
 public:
  bool Wanted(std::string_view) const override { return wanted; }
  void Publish(const Publication& publication) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    seen_.push_back(std::string(publication.event) + "@" + std::string(publication.room));
    last = Json::parse(publication.body);
  }
  std::vector<std::string> Take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(seen_, {});
  }
  bool wanted = true;
  Json last;

 private:
  std::mutex mutex_;
  std::vector<std::string> seen_;
};

// Answers GET /api/communication/stats.
class Statistics final : public CallHandler {
 public:
  void Handle(CallRequest request, ReplyFn reply) override {
    EXPECT_EQ(request.path, "/api/communication/stats");
    reply({200, {}, body});
  }
  std::string body = R"({"protocols":{"rest":{"total_attempts":1}},"timestamp":"1"})";
};

class FleetEventsTest : public ::testing::Test {
 protected:
  FleetEventsTest()
      : timers_(&clock_),
        fleet_(&clock_, &timers_,
               [](std::string_view, CallRequest, absl::Duration, ReplyFn reply) { reply({404}); }) {
    FleetCalls::Parts calls;
    calls.clock = &clock_;
    calls.fleet = &fleet_;
    calls.application = &statistics_;
    calls_ = std::make_unique<FleetCalls>(calls);
    FleetEvents::Parts parts;
    parts.node_id = "SERVER1";
    parts.clock = &clock_;
    parts.timers = &timers_;
    parts.executor = &pool_;
    parts.publisher = &recorder_;
    parts.metrics = &metrics_;
    parts.fleet = &fleet_;
    parts.calls = calls_.get();
    parts.look = [this] {
      absl::MutexLock lock(&mutex_);
      ++looks_;
    };
    parts.silence = [this] {
      absl::MutexLock lock(&mutex_);
      ++silences_;
    };
    parts.knock = [this] {
      absl::MutexLock lock(&mutex_);
      ++knocks_;
    };
    events_ = std::make_unique<FleetEvents>(std::move(parts));
  }
  ~FleetEventsTest() override {
    timers_.Stop();
    pool_.Stop();
  }
  // One interval passes, and what it brings is done.
  void Pass() {
    clock_.Advance(FleetEvents::kInterval);
    timers_.Wake();
    {
      absl::MutexLock lock(&mutex_);
      const int wanted = ++passes_;
      const auto looked = [this, wanted]()
                              ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return looks_ == wanted; };
      EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&looked), kDeadline));
    }
    absl::Notification done;
    pool_.Submit([&done] { done.Notify(); });
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kDeadline));
  }

  FakeClock clock_;
  TimerQueue timers_;
  ThreadPool pool_{{"looks"}};
  Metrics metrics_;
  Recorder recorder_;
  Statistics statistics_;
  absl::Mutex mutex_;
  int passes_ = 0;
  int looks_ ABSL_GUARDED_BY(mutex_) = 0;
  int silences_ ABSL_GUARDED_BY(mutex_) = 0;
  int knocks_ ABSL_GUARDED_BY(mutex_) = 0;
  Fleet fleet_;
  std::unique_ptr<FleetCalls> calls_;
  std::unique_ptr<FleetEvents> events_;
};

TEST_F(FleetEventsTest, TellsOfADevice) {
  control::v1::FleetNode node;
  node.set_id("EDGE1");
  node.set_status(control::v1::NODE_STATUS_ONLINE);
  node.add_roads()->set_name("sockets");
  node.mutable_last_seen()->set_seconds(1705314600);
  events_->OnNode(node);
  EXPECT_THAT(recorder_.Take(), ElementsAre("device_status@dashboard"));
  EXPECT_EQ(recorder_.last["device_id"], "EDGE1");
  EXPECT_EQ(recorder_.last["status"], "online");
  EXPECT_EQ(recorder_.last["roads"], Json({"sockets"}));
  EXPECT_EQ(recorder_.last["last_seen"], "2024-01-15T10:30:00.000Z");
  recorder_.wanted = false;
  events_->OnNode(node);
  EXPECT_THAT(recorder_.Take(), IsEmpty());
}

TEST_F(FleetEventsTest, TellsOnceThatTheHealthOfTheNodeHasChanged) {
  ComponentHealth health;
  health.state = HealthState::kDegraded;
  health.reason = "instance/mqtt: no broker";
  events_->OnHealth(health);
  EXPECT_THAT(recorder_.Take(),
              ElementsAre("system_status@dashboard", "system_status@health_monitoring"));
  EXPECT_EQ(recorder_.last["status"], "degraded");
  EXPECT_EQ(recorder_.last["message"], "instance/mqtt: no broker");
  events_->OnHealth(health);
  EXPECT_THAT(recorder_.Take(), IsEmpty());
  health.state = HealthState::kHealthy;
  events_->OnHealth(health);
  EXPECT_EQ(recorder_.last["status"], "healthy");
}

TEST_F(FleetEventsTest, TellsOfAnAlertWhenItIsRaisedAndWhenItIsCleared) {
  ComponentHealth health;
  health.state = HealthState::kDegraded;
  Alert alert;
  alert.id = "018d0000-0000-7000-8000-000000000000";
  alert.kind = AlertKind::kLinkDown;
  alert.subject = "uplink";
  alert.text = "link uplink: down";
  alert.value = alert.threshold = 1;
  alert.raised_at = clock_.Now();
  events_->OnAlert(alert, std::nullopt, health);
  EXPECT_THAT(recorder_.Take(),
              ElementsAre("system_status@dashboard", "system_status@health_monitoring"));
  EXPECT_EQ(recorder_.last["status"], "degraded");
  EXPECT_EQ(recorder_.last["message"], "link uplink: down");
  EXPECT_EQ(recorder_.last["alert"]["alert_id"], alert.id);
  EXPECT_EQ(recorder_.last["alert"]["kind"], "link_down");
  EXPECT_EQ(recorder_.last["alert"]["subject"], "uplink");
  EXPECT_EQ(recorder_.last["alert"]["state"], "raised");
  EXPECT_EQ(recorder_.last["alert"]["raised_at"], "2024-01-15T10:30:00.000Z");
  EXPECT_FALSE(recorder_.last["alert"].contains("cleared_at"));
  EXPECT_FALSE(recorder_.last["alert"].contains("acknowledged_by"));
  alert.cleared_at = clock_.Now() + absl::Seconds(1);
  events_->OnAlert(alert, AlertMark{"anna", "cable", clock_.Now()}, ComponentHealth());
  EXPECT_EQ(recorder_.last["status"], "healthy");
  EXPECT_EQ(recorder_.last["alert"]["state"], "cleared");
  EXPECT_EQ(recorder_.last["alert"]["cleared_at"], "2024-01-15T10:30:01.000Z");
  EXPECT_EQ(recorder_.last["alert"]["acknowledged_by"], "anna");
  EXPECT_EQ(recorder_.last["alert"]["note"], "cable");
}

TEST_F(FleetEventsTest, TellsOfExchangesOnlyWhenTheyDifferAndNotMoreOftenThanItLooks) {
  events_->Start();
  Pass();
  EXPECT_THAT(recorder_.Take(), ElementsAre("communication_status@dashboard"));
  statistics_.body = R"({"protocols":{"rest":{"total_attempts":1}},"timestamp":"2"})";
  Pass();
  EXPECT_THAT(recorder_.Take(), IsEmpty()) << "only the time differs";
  statistics_.body = R"({"protocols":{"rest":{"total_attempts":2}},"timestamp":"3"})";
  Pass();
  EXPECT_THAT(recorder_.Take(), ElementsAre("communication_status@dashboard"));
  EXPECT_EQ(recorder_.last["protocols"]["rest"]["total_attempts"], 2);
  absl::MutexLock lock(&mutex_);
  EXPECT_EQ(knocks_, 1);
  EXPECT_EQ(silences_, 3);
}

TEST_F(FleetEventsTest, CountsStrayAnswers) {
  events_->Start();
  fleet_.TakeAnswer("sockets", "s1", R"({"message_id":"never given","success":true})");
  Pass();
  double strays = -1;
  for (const MetricSample& sample : metrics_.Samples()) {
    if (sample.name == "viaduct_fleet_stray_answers_total") strays = sample.value;
  }
  EXPECT_EQ(strays, 1);
}

}  // namespace
}  // namespace viaduct
