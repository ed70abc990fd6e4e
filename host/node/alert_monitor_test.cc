// Over a real spool, with a clock that stands still.
#include "host/node/alert_monitor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/spool/spool_test_support.h"
#include "host/node/alert_json.h"
#include "host/node/testing/counting_executor.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class KeepingLog final : public Log {
 public:
  bool Enabled(LogLevel, std::string_view) const override { return true; }
  void Write(LogLevel level, std::string_view component, std::string_view message,
             absl::Span<const LogField> fields) override {
    if (component != "alerts") return;
    absl::MutexLock lock(&mutex_);
    lines_.push_back(absl::StrCat(level == LogLevel::kWarning ? "warning " : "info ",
                                  std::string(message), " ", std::string(fields[1].value)));
  }
  std::vector<std::string> Take() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(lines_, {});
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

class AlertMonitorTest : public ::testing::Test {
 protected:
  AlertMonitorTest() : timers_(&clock_), health_(&clock_) {
    SpoolOptions spool;
    spool.path = folder_.File("spool.db");
    spool.max_rejects = 1;
    spool.confirm_delay = absl::ZeroDuration();
    spool_ = *Spool::Open(spool, &clock_, &log_);
    AlertOptions options;
    for (AlertRule& rule : options.rules) rule.enabled = false;
    options.rules[static_cast<size_t>(AlertKind::kDeadLetters)] = {true, 1, 0};
    options.rules[static_cast<size_t>(AlertKind::kBacklogAge)] = {true, 60, 10, absl::Seconds(5),
                                                                  absl::ZeroDuration()};
    AlertMonitor::Deps deps;
    deps.clock = &clock_;
    deps.timers = &timers_;
    deps.executor = &executor_;
    deps.log = &log_;
    deps.health = &health_;
    deps.metrics = &metrics_;
    deps.spool = spool_.get();
    deps.data_paths = {folder_.path()};
    deps.tell = [this](const Alert& alert) {
      absl::MutexLock lock(&mutex_);
      told_.push_back(absl::StrCat(std::string(AlertStateName(alert)), " ", alert.text));
    };
    monitor_ = std::make_unique<AlertMonitor>(options, std::move(deps));
    monitor_->Start();
  }
  ~AlertMonitorTest() override { timers_.Stop(); }
  // So many looks, an interval apart.
  void Look(int looks) {
    for (int i = 0; i < looks; ++i) {
      const int wanted = executor_.count + 1;
      clock_.Advance(AlertMonitor::kInterval);
      timers_.Wake();
      ASSERT_TRUE(WaitFor([&] { return executor_.count == wanted; }));
    }
  }
  std::vector<std::string> TakeTold() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(told_, {});
  }
  double Value(const std::string& name, const std::string& label = "") const {
    for (const MetricSample& sample : metrics_.Samples()) {
      if (sample.name != name) continue;
      if (label.empty() || sample.labels[0].second == label) return sample.value;
    }
    return -1;
  }
  std::string Reason() const {
    const auto health = health_.Get("alerts");
    return health.ok() ? health->reason : "none";
  }

  FakeClock clock_;
  TestFolder folder_;
  KeepingLog log_;
  TimerQueue timers_;
  CountingExecutor executor_;
  HealthTree health_;
  Metrics metrics_;
  std::unique_ptr<Spool> spool_;
  absl::Mutex mutex_;
  std::vector<std::string> told_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<AlertMonitor> monitor_;
};

TEST_F(AlertMonitorTest, TellsOfDeadLettersInLogHealthMetricsAndToWhoeverListens) {
  Look(2);
  EXPECT_THAT(TakeTold(), IsEmpty());
  EXPECT_EQ(Reason(), "none");
  ASSERT_TRUE(AppendOne(spool_.get(), TestEnvelope("m-1")).ok());
  SettleAll(spool_.get(), ClaimAll(spool_.get()), SettleKind::kReject, 0, "not wanted");
  ASSERT_TRUE(WaitFor([this] { return spool_->Info().rejected == 1; }));
  Look(3);
  EXPECT_THAT(TakeTold(), ElementsAre("raised back-log: 1 messages were set aside"));
  EXPECT_THAT(log_.Take(), ElementsAre("warning raised dead_letters"));
  EXPECT_EQ(Reason(), "back-log: 1 messages were set aside");
  EXPECT_EQ(health_.Get("alerts")->state, HealthState::kDegraded);
  EXPECT_EQ(health_.Aggregate().state, HealthState::kDegraded);
  EXPECT_EQ(Value("viaduct_alerts_active"), 1);
  SpoolFilter rejected;
  rejected.state = SpoolEntryState::kRejected;
  ASSERT_EQ(*spool_->Drop(rejected, "test"), 1u);
  Look(3);
  EXPECT_THAT(TakeTold(), ElementsAre("cleared back-log: 1 messages were set aside"));
  EXPECT_THAT(log_.Take(), ElementsAre("info cleared dead_letters"));
  EXPECT_EQ(health_.Get("alerts")->state, HealthState::kHealthy);
  EXPECT_EQ(Value("viaduct_alerts_active"), 0);
  EXPECT_EQ(Value("viaduct_alerts_raised_total", "dead_letters"), 1);
  EXPECT_EQ(Value("viaduct_alerts_raised_total", "link_down"), 0);
}

TEST_F(AlertMonitorTest, NothingIsRaisedOrClearedOnceTheNodeStops) {
  ASSERT_TRUE(AppendOne(spool_.get(), TestEnvelope("m-1")).ok());
  SettleAll(spool_.get(), ClaimAll(spool_.get()), SettleKind::kReject, 0, "not wanted");
  ASSERT_TRUE(WaitFor([this] { return spool_->Info().rejected == 1; }));
  Look(1);
  EXPECT_EQ(TakeTold().size(), 1u);
  monitor_->Stop();
  ASSERT_EQ(*spool_->Drop({}, "test"), 1u);
  Look(1);
  EXPECT_THAT(TakeTold(), IsEmpty());
  EXPECT_EQ(monitor_->alerts().Active().size(), 1u);
}

TEST_F(AlertMonitorTest, TellsOfABackLogThatAges) {
  ASSERT_TRUE(AppendOne(spool_.get(), TestEnvelope("m-1")).ok());
  Look(60);
  EXPECT_THAT(TakeTold(), IsEmpty()) << "it has not held long enough";
  Look(10);
  const std::vector<std::string> told = TakeTold();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_THAT(told[0], HasSubstr("raised back-log: the oldest message has waited for 1m5s"));
  SettleAll(spool_.get(), ClaimAll(spool_.get()), SettleKind::kConfirmed);
  ASSERT_TRUE(WaitFor([this] { return spool_->Info().messages == 0; }));
  Look(1);
  EXPECT_EQ(TakeTold().size(), 1u);
  EXPECT_EQ(monitor_->alerts().Past().size(), 1u);
}

}  // namespace
}  // namespace viaduct
