// What is guarded by Abseil's locks is no race for TSan; and the sanitizer itself does run.
#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace {

constexpr int kThreads = 4;
constexpr int kRounds = 2000;

TEST(TsanAbsl, MutexGuardsACounter) {
  absl::Mutex mutex;
  int counter = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        absl::MutexLock lock(&mutex);
        ++counter;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter, kThreads * kRounds);
}

TEST(TsanAbsl, ConditionsAndTimeoutsHandOver) {
  absl::Mutex mutex;
  int turn = 0;
  std::thread other([&] {
    for (int round = 0; round < kRounds; ++round) {
      auto mine = [&] { return turn % 2 == 1; };
      absl::MutexLock lock(&mutex);
      EXPECT_TRUE(mutex.AwaitWithTimeout(absl::Condition(&mine), absl::Seconds(30)));
      ++turn;
    }
  });
  for (int round = 0; round < kRounds; ++round) {
    auto mine = [&] { return turn % 2 == 0; };
    absl::MutexLock lock(&mutex, absl::Condition(&mine));
    ++turn;
  }
  other.join();
  EXPECT_EQ(turn, 2 * kRounds);
}

TEST(TsanAbsl, CondVarHandsOver) {
  absl::Mutex mutex;
  absl::CondVar changed;
  bool ready = false;
  std::thread other([&] {
    absl::MutexLock lock(&mutex);
    ready = true;
    changed.Signal();
  });
  {
    absl::MutexLock lock(&mutex);
    while (!ready) changed.Wait(&mutex);
  }
  other.join();
}

TEST(TsanAbsl, NotificationAndCounterPublish) {
  int value = 0;
  absl::Notification done;
  absl::BlockingCounter counter(kThreads);
  std::vector<int> parts(kThreads);
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    value = 7;
    done.Notify();
  });
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      parts[static_cast<size_t>(i)] = i;
      counter.DecrementCount();
    });
  }
  done.WaitForNotification();
  counter.Wait();
  EXPECT_EQ(value, 7);
  EXPECT_EQ(parts[kThreads - 1], kThreads - 1);
  for (std::thread& thread : threads) thread.join();
}

TEST(TsanAbsl, ReadersShare) {
  absl::Mutex mutex;
  int value = 0;
  std::thread writer([&] {
    for (int round = 0; round < kRounds; ++round) {
      absl::MutexLock lock(&mutex);
      value = round;
    }
  });
  int seen = 0;
  for (int round = 0; round < kRounds; ++round) {
    absl::ReaderMutexLock lock(&mutex);
    seen = value;
  }
  writer.join();
  EXPECT_LT(seen, kRounds);
}

#if defined(__SANITIZE_THREAD__)
int Race() {
  int value = 0;
  std::thread other([&] { ++value; });
  ++value;
  other.join();
  return value;
}

TEST(TsanAbslDeathTest, ARealRaceIsStillFound) {
  EXPECT_DEATH(
      {
        for (int round = 0; round < 100; ++round) Race();
        _exit(0);
      },
      "data race");
}
#endif

}  // namespace
