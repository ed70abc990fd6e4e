#include "host/node/reminder.h"

#include <gtest/gtest.h>

#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "core/base/clock.h"

namespace viaduct {
namespace {

constexpr absl::Duration kLong = absl::Seconds(30);

// Keeps tasks until the test runs them. Thread-safe.
class HeldTasks final : public Executor {
 public:
  bool Submit(Task task) override {
    absl::MutexLock lock(&mutex_);
    ++asked_;
    if (full_) return false;
    tasks_.push_back(std::move(task));
    return true;
  }
  void SetFull(bool full) {
    absl::MutexLock lock(&mutex_);
    full_ = full;
  }
  bool AwaitAsked(int count) {
    const auto reached = [this, count]()
                             ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return asked_ >= count; };
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&reached), kLong);
  }
  void RunAll() {
    std::vector<Task> tasks;
    {
      absl::MutexLock lock(&mutex_);
      tasks.swap(tasks_);
    }
    for (auto& task : tasks) task();
  }

 private:
  absl::Mutex mutex_;
  int asked_ ABSL_GUARDED_BY(mutex_) = 0;
  bool full_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Task> tasks_ ABSL_GUARDED_BY(mutex_);
};

class ReminderTest : public ::testing::Test {
 protected:
  ~ReminderTest() override { timers_.Stop(); }
  void Pass(absl::Duration time) {
    clock_.Advance(time);
    timers_.Wake();
  }

  FakeClock clock_;
  TimerQueue timers_{&clock_};
  HeldTasks tasks_;
  Reminder reminder_{&timers_, &tasks_};
};

TEST_F(ReminderTest, DoesTheWorkAgainUntilItIsDone) {
  int done = 0;
  reminder_.Set(absl::Seconds(1), [&] { return ++done == 3; });
  Pass(absl::Seconds(1));
  for (int round = 1; round <= 3; ++round) {
    ASSERT_TRUE(tasks_.AwaitAsked(round));
    tasks_.RunAll();
    EXPECT_EQ(done, round);
    Pass(Reminder::kPause);
  }
  EXPECT_EQ(timers_.size(), 0u);
}

TEST_F(ReminderTest, OutlivesAnExecutorThatIsFull) {
  int done = 0;
  tasks_.SetFull(true);
  reminder_.Set(absl::Seconds(1), [&] { return ++done > 0; });
  Pass(absl::Seconds(1));
  ASSERT_TRUE(tasks_.AwaitAsked(1));
  tasks_.SetFull(false);
  // Armed again by the timers' thread, some time after it has asked.
  while (timers_.size() == 0) std::this_thread::yield();
  Pass(Reminder::kPause);
  ASSERT_TRUE(tasks_.AwaitAsked(2));
  tasks_.RunAll();
  EXPECT_EQ(done, 1);
}

TEST_F(ReminderTest, WhatWasTakenBackOrReplacedIsNotDone) {
  int first = 0;
  int second = 0;
  reminder_.Set(absl::Seconds(1), [&] { return ++first > 0; });
  Pass(absl::Seconds(1));
  ASSERT_TRUE(tasks_.AwaitAsked(1));
  reminder_.Set(absl::Seconds(1), [&] { return ++second > 0; });
  tasks_.RunAll();
  EXPECT_EQ(first, 0);
  Pass(absl::Seconds(1));
  ASSERT_TRUE(tasks_.AwaitAsked(2));
  reminder_.TakeBack();
  tasks_.RunAll();
  EXPECT_EQ(second, 0);
  EXPECT_EQ(timers_.size(), 0u);
}

}  // namespace
}  // namespace viaduct
