#include "core/base/executor.h"

#include <atomic>
#include <memory>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "core/base/executor_strand.h"
#include "core/base/executor_timer_queue.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace viaduct {
namespace {

constexpr absl::Duration kLong = absl::Seconds(20);
using testing::ElementsAre;

ThreadPool::Options Threads(int threads, size_t max_queued = 65536) {
  return {"test", threads, max_queued};
}

TEST(ThreadPool, RunsEveryAcceptedTaskBeforeStopReturns) {
  ThreadPool pool(Threads(3));
  std::atomic<int> ran{0};
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(pool.Submit([&ran] { ++ran; }));
  EXPECT_EQ(pool.Stop(), 0);
  EXPECT_EQ(ran, 1000);
  EXPECT_FALSE(pool.Submit([] {}));
}

TEST(ThreadPool, KnowsItsOwnThreads) {
  ThreadPool pool(Threads(1));
  ThreadPool other(Threads(1));
  bool own = false;
  bool others = true;
  ASSERT_TRUE(pool.Submit([&] {
    own = pool.IsCurrent();
    others = other.IsCurrent();
  }));
  pool.Stop();
  EXPECT_TRUE(own);
  EXPECT_FALSE(others);
  EXPECT_FALSE(pool.IsCurrent());
}

TEST(ThreadPool, RunsAsManyTasksAtOnceAsItHasThreads) {
  ThreadPool pool(Threads(4));
  absl::BlockingCounter together(4);
  absl::Notification all;
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(pool.Submit([&] {
      together.DecrementCount();
      all.WaitForNotification();
    }));
  }
  together.Wait();
  all.Notify();
  EXPECT_EQ(pool.Stop(kLong), 0);
}

TEST(ThreadPool, RefusesWhatTheQueueCanNotHold) {
  absl::Notification entered, release;  // Before the pool, so that they outlive its threads.
  ThreadPool pool(Threads(1, 2));
  ASSERT_TRUE(pool.Submit([&] {
    entered.Notify();
    release.WaitForNotification();
  }));
  entered.WaitForNotification();
  EXPECT_TRUE(pool.Submit([] {}));
  EXPECT_TRUE(pool.Submit([] {}));
  EXPECT_FALSE(pool.Submit([] {}));
  release.Notify();
}

TEST(ThreadPool, AbandonsAThreadThatDoesNotComeBack) {
  auto release = std::make_shared<absl::Notification>();
  auto ended = std::make_shared<absl::Notification>();
  absl::Notification entered;
  ThreadPool pool(Threads(2));
  ASSERT_TRUE(pool.Submit([release, ended, &entered] {
    entered.Notify();
    release->WaitForNotification();
    ended->Notify();
  }));
  entered.WaitForNotification();
  EXPECT_EQ(pool.Stop(absl::Milliseconds(20)), 1);
  EXPECT_EQ(pool.Stop(), 0);
  release->Notify();
  EXPECT_TRUE(ended->WaitForNotificationWithTimeout(kLong));
}

class StrandTest : public testing::Test {
 protected:
  std::shared_ptr<Strand> Make(Strand::Options options = {}) {
    return std::make_shared<Strand>(&pool_, std::move(options));
  }
  ThreadPool pool_{Threads(4)};
};

TEST_F(StrandTest, RunsTasksInOrderAndNeverTwoAtOnce) {
  auto strand = Make();
  std::vector<int> order;  // Unguarded on purpose: the strand is the guard.
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(strand->Post([&order, i] { order.push_back(i); }));
  }
  ASSERT_TRUE(strand->Close(kLong));
  ASSERT_EQ(order.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST_F(StrandTest, TasksWaitForWhoeverIsInside) {
  auto strand = Make();
  std::vector<int> order;
  ASSERT_TRUE(strand->TryEnter());
  EXPECT_FALSE(strand->TryEnter());
  ASSERT_TRUE(strand->Post([&order] { order.push_back(2); }));
  order.push_back(1);
  strand->Exit();
  ASSERT_TRUE(strand->Close(kLong));
  EXPECT_THAT(order, ElementsAre(1, 2));
}

TEST_F(StrandTest, TellsWhoFoundItBusyWhenItComesToRest) {
  absl::Notification idle;
  auto strand = Make({4096, 64, [&idle] { idle.Notify(); }});
  absl::Notification entered, release;
  ASSERT_TRUE(strand->Post([&] {
    entered.Notify();
    release.WaitForNotification();
  }));
  entered.WaitForNotification();
  EXPECT_FALSE(strand->TryEnter());
  EXPECT_FALSE(idle.HasBeenNotified());
  release.Notify();
  EXPECT_TRUE(idle.WaitForNotificationWithTimeout(kLong));
  EXPECT_TRUE(strand->TryEnter());
  strand->Exit();
}

TEST_F(StrandTest, BoundsItsQueue) {
  auto strand = Make({2, 64, nullptr});
  ASSERT_TRUE(strand->TryEnter());
  EXPECT_TRUE(strand->Post([] {}));
  EXPECT_TRUE(strand->Post([] {}));
  EXPECT_FALSE(strand->Post([] {}));
  strand->Exit();
}

TEST_F(StrandTest, CloseSaysWhenSomebodyIsStuckInside) {
  auto strand = Make();
  ASSERT_TRUE(strand->TryEnter());
  EXPECT_FALSE(strand->Close(absl::Milliseconds(20)));
  EXPECT_FALSE(strand->Post([] {}));
  strand->Exit();
  EXPECT_TRUE(strand->Close(kLong));
  EXPECT_FALSE(strand->TryEnter());
}

TEST_F(StrandTest, SerialisesEntriesAndTasksOfManyThreads) {
  auto strand = Make();
  int64_t sum = 0;  // Unguarded on purpose.
  std::atomic<int64_t> expected{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        if (strand->TryEnter()) {
          ++sum;
          strand->Exit();
          ++expected;
        } else if (strand->Post([&sum] { ++sum; })) {
          ++expected;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(strand->Close(kLong));
  EXPECT_EQ(sum, expected);
}

TEST(TimerQueue, RunsInOrderOfTimeNotOfArming) {
  FakeClock clock;
  TimerQueue timers(&clock);
  std::vector<int> order;
  absl::BlockingCounter all(3);
  auto task = [&](int n) {
    return [&, n] {
      order.push_back(n);
      all.DecrementCount();
    };
  };
  ASSERT_NE(timers.ArmAfter(absl::Seconds(3), task(3)), 0u);
  ASSERT_NE(timers.ArmAfter(absl::Seconds(1), task(1)), 0u);
  ASSERT_NE(timers.ArmAfter(absl::Seconds(2), task(2)), 0u);
  clock.Advance(absl::Seconds(3));
  timers.Wake();
  all.Wait();
  timers.Stop();
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
}

TEST(TimerQueue, DoesNotRunEarly) {
  FakeClock clock;
  TimerQueue timers(&clock);
  std::atomic<bool> late{false};
  absl::Notification early;
  ASSERT_NE(timers.ArmAfter(absl::Seconds(2), [&late] { late = true; }), 0u);
  ASSERT_NE(timers.ArmAfter(absl::Seconds(1), [&early] { early.Notify(); }), 0u);
  clock.Advance(absl::Milliseconds(1999));
  timers.Wake();
  ASSERT_TRUE(early.WaitForNotificationWithTimeout(kLong));
  timers.Stop();
  EXPECT_FALSE(late);
}

TEST(TimerQueue, ACancelledTimerDoesNotRun) {
  FakeClock clock;
  TimerQueue timers(&clock);
  std::atomic<bool> ran{false};
  absl::Notification other;
  const uint64_t id = timers.ArmAfter(absl::Seconds(1), [&ran] { ran = true; });
  ASSERT_NE(timers.ArmAfter(absl::Seconds(1), [&other] { other.Notify(); }), 0u);
  EXPECT_TRUE(timers.Cancel(id));
  EXPECT_FALSE(timers.Cancel(id));
  clock.Advance(absl::Seconds(1));
  timers.Wake();
  ASSERT_TRUE(other.WaitForNotificationWithTimeout(kLong));
  timers.Stop();
  EXPECT_FALSE(ran);
}

TEST(TimerQueue, CancelAndWaitWaitsForARunningTask) {
  SystemClock clock;
  TimerQueue timers(&clock);
  absl::Notification entered, release;
  std::atomic<bool> done{false};
  const uint64_t id = timers.ArmAfter(absl::ZeroDuration(), [&] {
    entered.Notify();
    release.WaitForNotification();
    done = true;
  });
  entered.WaitForNotification();
  std::thread helper([&release] { release.Notify(); });
  EXPECT_FALSE(timers.CancelAndWait(id));
  EXPECT_TRUE(done);
  helper.join();
}

TEST(TimerQueue, BoundsItsTimersAndRefusesAfterStop) {
  FakeClock clock;
  TimerQueue timers(&clock, {2});
  EXPECT_NE(timers.ArmAfter(absl::Hours(1), [] {}), 0u);
  EXPECT_NE(timers.ArmAfter(absl::InfiniteDuration(), [] {}), 0u);
  EXPECT_EQ(timers.ArmAfter(absl::Hours(1), [] {}), 0u);
  timers.Stop();
  EXPECT_EQ(timers.size(), 0u);
  EXPECT_EQ(timers.ArmAfter(absl::Hours(1), [] {}), 0u);
}

}  // namespace
}  // namespace viaduct
