#include "host/node/backup_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/synchronization/mutex.h"
#include "core/base/test_folder.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kLong = absl::Seconds(30);

// Time stands still until the test moves it; what is to be done then is done on a real thread.
class BackupRunnerTest : public ::testing::Test {
 protected:
  BackupRunnerTest() : health_(&clock_), timers_(&clock_), pool_({"backup", 1, 4}) {
    config_.path = folder_.File("backups");
    config_.every = absl::Hours(24);
    config_.keep = 1;
    backups_.path = config_.path;
  }
  ~BackupRunnerTest() override {
    timers_.Stop();
    pool_.Stop(kLong);
  }

  std::unique_ptr<BackupRunner> Make() {
    BackupRunner::Deps deps;
    deps.clock = &clock_;
    deps.log = &log_;
    deps.health = &health_;
    deps.timers = &timers_;
    deps.pool = &pool_;
    deps.fill = [this](backup::BackupWriter* to) {
      const absl::MutexLock lock(&mutex_);
      ++tries_;
      return fails_ ? absl::UnavailableError("the store is away") : to->Text("x", "store/x");
    };
    return std::make_unique<BackupRunner>(config_, backups_, std::move(deps));
  }

  void Pass(absl::Duration time) {
    clock_.Advance(time);
    timers_.Wake();
  }
  bool AwaitTries(int wanted) {
    const auto reached = [this, wanted]()
                             ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return tries_ >= wanted; };
    const absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&reached), kLong);
  }
  // What is done after the filling has been done, too.
  void AwaitIdle() {
    absl::Notification idle;
    ASSERT_TRUE(pool_.Submit([&idle] { idle.Notify(); }));
    ASSERT_TRUE(idle.WaitForNotificationWithTimeout(kLong));
  }
  void SetFails(bool fails) {
    const absl::MutexLock lock(&mutex_);
    fails_ = fails;
  }
  size_t Count() { return backup::ListBackups(config_.path)->size(); }

  FakeClock clock_;
  NullLog log_;
  HealthTree health_;
  TimerQueue timers_;
  ThreadPool pool_;
  TestFolder folder_;
  BackupOptionsConfig config_;
  backup::BackupsOptions backups_;
  absl::Mutex mutex_;
  int tries_ ABSL_GUARDED_BY(mutex_) = 0;
  bool fails_ ABSL_GUARDED_BY(mutex_) = false;
};

TEST_F(BackupRunnerTest, MakesOneADayAndKeepsTheNewest) {
  const auto runner = Make();
  runner->Start();
  Pass(BackupRunner::kFirstLook);
  ASSERT_TRUE(AwaitTries(1));
  AwaitIdle();
  EXPECT_EQ(Count(), 1U);
  const std::string first = backup::ListBackups(config_.path)->front().name;
  Pass(config_.every);
  ASSERT_TRUE(AwaitTries(2));
  AwaitIdle();
  ASSERT_EQ(Count(), 1U);
  EXPECT_NE(backup::ListBackups(config_.path)->front().name, first);
}

TEST_F(BackupRunnerTest, ARestartMakesNoneBeforeItsTime) {
  ASSERT_TRUE(Make()->Create(std::make_shared<BackupRunner::Run>(), nullptr).ok());
  const auto runner = Make();
  runner->Start();
  Pass(BackupRunner::kFirstLook);
  AwaitIdle();
  EXPECT_EQ(Count(), 1U);
  Pass(config_.every);
  ASSERT_TRUE(AwaitTries(2));
}

TEST_F(BackupRunnerTest, OneThatFailsIsToldAndTriedAgain) {
  SetFails(true);
  const auto runner = Make();
  runner->Start();
  Pass(BackupRunner::kFirstLook);
  ASSERT_TRUE(AwaitTries(1));
  AwaitIdle();
  EXPECT_EQ(health_.Aggregate().state, HealthState::kDegraded);
  EXPECT_THAT(health_.List().front().reason, HasSubstr("the store is away"));
  SetFails(false);
  Pass(BackupRunner::kLookAgain);
  ASSERT_TRUE(AwaitTries(2));
  AwaitIdle();
  EXPECT_EQ(health_.Aggregate().state, HealthState::kHealthy);
  EXPECT_EQ(Count(), 1U);
}

TEST_F(BackupRunnerTest, OnceStoppedItBeginsNone) {
  const auto runner = Make();
  runner->Stop();
  EXPECT_EQ(runner->Create(std::make_shared<BackupRunner::Run>(), nullptr).status().code(),
            absl::StatusCode::kCancelled);
}

TEST_F(BackupRunnerTest, WhoeverWaitsForOneCanEndIt) {
  const auto run = std::make_shared<BackupRunner::Run>();
  run->End();
  run->End();
  EXPECT_EQ(Make()->Create(run, nullptr).status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(Count(), 0U);
}

}  // namespace
}  // namespace viaduct
