// A server that is away, is killed, or comes back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/store/testing/postgres_fixture.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;

TEST_F(PostgresStoreTest, RefusesWhileTheDatabaseIsAwayAndGoesOnWhenItIsBack) {
  PostgresServer server;
  auto store = Open(server.NewDatabase());
  ASSERT_TRUE(Append(store.get(), Detection("m-1")).status.ok());
  ASSERT_TRUE(store->Statistics().ok());
  for (const bool killed : {false, true}) {
    killed ? server.Kill() : server.Stop();
    const AppendResult refused = Append(store.get(), Detection(absl::StrCat("away-", killed)));
    EXPECT_EQ(refused.status.code(), absl::StatusCode::kUnavailable) << refused.status;
    EXPECT_EQ(store->Health().state, StoreHealth::State::kFailed);
    EXPECT_EQ(store->Statistics().status().code(), absl::StatusCode::kUnavailable);
    server.Start();
    const AppendResult stored =
        AppendUntilStored(store.get(), Detection(absl::StrCat("away-", killed)));
    EXPECT_TRUE(stored.status.ok()) << stored.status;
    EXPECT_FALSE(stored.duplicate);
    EXPECT_EQ(store->Health().state, StoreHealth::State::kOk);
    EXPECT_EQ(store->Statistics()->total_detections, killed ? 3 : 2);
  }
}

// Sessions of an idle store end with the server; the first sender afterwards notices nothing.
TEST_F(PostgresStoreTest, ARestartThatNobodySawIsNotToldToAnybody) {
  PostgresServer server;
  auto store = Open(server.NewDatabase());
  ASSERT_TRUE(Append(store.get(), Detection("m-1")).status.ok());
  ASSERT_TRUE(store->Statistics().ok());
  server.Stop();
  server.Start();
  EXPECT_TRUE(store->Statistics().ok());
  const AppendResult result = Append(store.get(), Detection("m-2"));
  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_FALSE(result.duplicate);
}

TEST_F(PostgresStoreTest, StartsWithoutItsDatabaseAndConnectsWhenItIsThere) {
  PostgresServer server;
  const PostgresAddress address = server.NewDatabase();
  server.Stop();
  auto store = Open(address);
  ASSERT_NE(store, nullptr);
  EXPECT_EQ(store->Health().state, StoreHealth::State::kFailed);
  EXPECT_THAT(store->Health().reason, HasSubstr("cannot connect"));
  server.Start();
  EXPECT_TRUE(AppendUntilStored(store.get(), Detection("m-1")).status.ok());
}

// Every message is offered until it is accepted, while the server dies again and again in the
// middle of commits: each is stored once.
TEST_F(PostgresStoreTest, KilledInTheMiddleOfGroupsItLosesNothingAndDoublesNothing) {
  constexpr int kRounds = 4;
  constexpr int kEach = 300;
  PostgresServer server;
  const PostgresAddress address = server.NewDatabase();
  auto store = Open(address);
  std::atomic<int> stored{0};
  std::thread sender([&] {
    for (int i = 0; i < kRounds * kEach; ++i) {
      const AppendResult result =
          AppendUntilStored(store.get(), Detection(absl::StrCat("m-", i), "CAM001"));
      stored += result.status.ok() ? 1 : 0;
    }
  });
  for (int round = 1; round < kRounds; ++round) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (stored < round * kEach && absl::Now() < deadline) std::this_thread::yield();
    server.Kill();
    server.Start();
  }
  sender.join();
  EXPECT_EQ(stored, kRounds * kEach);
  auto db = Connect(address);
  EXPECT_EQ(db->QueryInt("SELECT count(*) FROM detections").value_or(-1),
            db->QueryInt("SELECT count(DISTINCT message_id) FROM detections").value_or(-2));
  EXPECT_EQ(db->QueryInt("SELECT count(DISTINCT message_id) FROM detections").value_or(-1),
            kRounds * kEach);
  EXPECT_EQ(db->QueryInt("SELECT count(*) FROM lpr_events").value_or(-1), kRounds * kEach);
  EXPECT_EQ(store->Statistics()->total_detections, kRounds * kEach);
}

}  // namespace
}  // namespace viaduct
