// What a node is told of what the others store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "core/observe/log.h"
#include "core/store/testing/postgres_fixture.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

// Keeps what a watch has told.
class Told {
 public:
  StoreObserver Observer() {
    return StoreObserver{[this] { return wanted.load(); },
                         [this](const std::vector<StoredElsewhere>& rows) {
                           const absl::MutexLock lock(&mutex_);
                           for (const StoredElsewhere& row : rows) rows_.push_back(row);
                         }};
  }
  std::vector<StoredElsewhere> Await(size_t count) {
    const absl::MutexLock lock(&mutex_);
    const auto enough = [this, count] { return rows_.size() >= count; };
    mutex_.AwaitWithTimeout(absl::Condition(&enough), kPatience);
    return rows_;
  }

  std::atomic<bool> wanted{true};

 private:
  absl::Mutex mutex_;
  std::vector<StoredElsewhere> rows_;
};

std::string CameraOf(const StoredElsewhere& row) {
  const auto* detection = std::get_if<DetectionRecord>(&row.record);
  return detection == nullptr ? std::get<HealthRecord>(row.record).camera_id : detection->camera_id;
}

TEST_F(PostgresStoreTest, AWatchTellsWhatOtherNodesStoreAndNothingOfItsOwn) {
  const PostgresAddress address = PostgresServer::Shared()->NewDatabase();
  auto one = Open(address, "node-1");
  auto two = Open(address, "node-2");
  Append(one.get(), Detection("before", "OLD"));
  Told told;
  auto watch = two->WatchOthers(told.Observer());
  SendUntil(one.get(), [&] { return !told.Await(0).empty(); });
  const size_t begun = told.Await(1).size();
  ASSERT_GE(begun, 1u);
  BlacklistRecord listed;
  listed.license_plate = "1AB2345";
  listed.reason = "stolen";
  Append(one.get(), listed);
  Append(two.get(), Detection("own", "OWN"));
  const DetectionRecord seen = Detection("seen", "SEEN");
  Append(one.get(), seen);
  HealthRecord health;
  health.message_id = "h";
  health.camera_id = "HEALTH";
  health.captured_at = health.arrived_at = clock_.Now();
  health.key = MakeMessageKey("h", "HEALTH", clock_.Now());
  health.status = "healthy";
  Append(one.get(), health);
  const absl::Time deadline = absl::Now() + kPatience;
  std::vector<StoredElsewhere> rows;
  do {
    rows = told.Await(rows.size() + 1);
  } while (CameraOf(rows.back()) != "HEALTH" && absl::Now() < deadline);
  int seen_times = 0;
  for (const StoredElsewhere& row : rows) {
    EXPECT_NE(CameraOf(row), "OLD");
    EXPECT_NE(CameraOf(row), "OWN");
    if (CameraOf(row) != "SEEN") continue;
    ++seen_times;
    EXPECT_EQ(row.id, FormatKey(seen.key));
    const auto& record = std::get<DetectionRecord>(row.record);
    EXPECT_EQ(record.payload_json, seen.payload_json);
    ASSERT_THAT(record.plates, SizeIs(1));
    ASSERT_THAT(row.alerts, SizeIs(1));
    EXPECT_EQ(row.alerts[0].reason, "stolen");
  }
  EXPECT_EQ(seen_times, 1);
  watch.reset();
}

// The notifications of what was stored meanwhile are lost with the connection.
TEST_F(PostgresStoreTest, AWatchCatchesUpFromTheTablesAfterItsConnectionWasLost) {
  const PostgresAddress address = PostgresServer::Shared()->NewDatabase();
  auto one = Open(address, "node-1");
  auto two = Open(address, "node-2");
  Told told;
  auto watch = two->WatchOthers(told.Observer());
  SendUntil(one.get(), [&] { return !told.Await(0).empty(); });
  auto db = Connect(address);
  ASSERT_TRUE(db->Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE (query LIKE "
                       "'LISTEN%' OR query LIKE '%last_health_report, node_id%') AND pid <> "
                       "pg_backend_pid()")
                  .ok());
  for (int i = 0; i < 20; ++i) Append(one.get(), Detection(absl::StrCat("late-", i), "LATE"));
  const absl::Time deadline = absl::Now() + kPatience;
  std::vector<StoredElsewhere> rows;
  int late = 0;
  while (late < 20 && absl::Now() < deadline) {
    rows = told.Await(rows.size() + 1);
    late = 0;
    for (const StoredElsewhere& row : rows) late += CameraOf(row) == "LATE" ? 1 : 0;
  }
  EXPECT_EQ(late, 20);
  watch.reset();
}

// The server has it on its disk and waits for a standby that never comes, when the session ends.
TEST_F(PostgresStoreTest, TellsOfWhatItsLostCommitHasStored) {
  PostgresServer server;
  const PostgresAddress address = server.NewDatabase();
  auto store = Open(address);
  auto db = Connect(address);
  BlacklistRecord listed;
  listed.license_plate = "1AB2345";
  listed.reason = "stolen";
  ASSERT_TRUE(Append(store.get(), listed).status.ok());
  ASSERT_TRUE(Append(store.get(), Detection("answered")).status.ok());
  Told told;
  auto watch = store->WatchOthers(told.Observer());
  ASSERT_TRUE(db->Exec("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").ok());
  ASSERT_TRUE(db->Exec("SELECT pg_reload_conf()").ok());
  // Commits wait from when the server's checkpointer has seen the change; one before is answered.
  AppendResult lost;
  std::string lost_id;
  absl::Notification answered;
  std::thread sender([&] {
    const absl::Time deadline = absl::Now() + kPatience;
    for (int i = 0; (i == 0 || lost.status.ok()) && absl::Now() < deadline; ++i) {
      lost_id = absl::StrCat("lost-", i);
      lost = Append(store.get(), Detection(lost_id));
    }
    answered.Notify();
  });
  // Other sessions of the store commit as well: the first that waits may not be the sender's.
  while (!answered.HasBeenNotified()) {
    EXPECT_TRUE(db->Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event "
                         "= 'SyncRep'")
                    .ok());
  }
  sender.join();
  EXPECT_EQ(lost.status.code(), absl::StatusCode::kUnavailable) << lost.status;
  ASSERT_TRUE(db->Exec("ALTER SYSTEM RESET synchronous_standby_names").ok());
  ASSERT_TRUE(db->Exec("SELECT pg_reload_conf()").ok());
  const AppendResult again = AppendUntilStored(store.get(), Detection(lost_id));
  EXPECT_TRUE(again.duplicate);
  const std::vector<StoredElsewhere> rows = told.Await(1);
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(std::get<DetectionRecord>(rows[0].record).message_id, lost_id);
  ASSERT_THAT(rows[0].alerts, SizeIs(1));
  EXPECT_EQ(rows[0].alerts[0].reason, "stolen");
  watch.reset();
}

// Keeps the lines about following.
class FollowLog final : public Log {
 public:
  bool Enabled(LogLevel, std::string_view) const override { return true; }
  void Write(LogLevel, std::string_view, std::string_view message,
             absl::Span<const LogField>) override {
    if (message.find("follow") == std::string_view::npos) return;
    const absl::MutexLock lock(&mutex_);
    lines_.emplace_back(message);
  }
  std::vector<std::string> Await(size_t count) {
    const absl::MutexLock lock(&mutex_);
    const auto enough = [this, count] { return lines_.size() >= count; };
    mutex_.AwaitWithTimeout(absl::Condition(&enough), kPatience);
    return lines_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::string> lines_;
};

TEST_F(PostgresStoreTest, AWatchSaysOnceThatItCannotFollowAndOnceThatItCanAgain) {
  PostgresServer server;
  FollowLog log;
  PostgresStoreOptions options;
  options.address = server.NewDatabase();
  auto store = OpenPostgresStore(options, &clock_, &log).value();
  auto one = Open(options.address, "node-1");
  Told told;
  auto watch = store->WatchOthers(told.Observer());
  SendUntil(one.get(), [&] { return !told.Await(0).empty(); });
  server.Stop();
  log.Await(1);
  server.Start();
  EXPECT_THAT(log.Await(2), ElementsAre("cannot follow other nodes, it is tried again",
                                        "following other nodes again"));
  AppendUntilStored(one.get(), Detection("after", "AFTER"));
  const absl::Time deadline = absl::Now() + kPatience;
  std::vector<StoredElsewhere> rows = told.Await(1);
  while (CameraOf(rows.back()) != "AFTER" && absl::Now() < deadline) {
    rows = told.Await(rows.size() + 1);
  }
  EXPECT_EQ(CameraOf(rows.back()), "AFTER");
  watch.reset();
}

// A view puts a row there that nobody can read: a device whose name divides by zero.
TEST_F(PostgresStoreTest, AWatchLeavesOutARowThatCannotBeReadAndGoesOn) {
  const PostgresAddress address = PostgresServer::Shared()->NewDatabase();
  auto one = Open(address, "node-1");
  auto two = Open(address, "node-2");
  Append(one.get(), Detection("known", "BAD"));
  Told told;
  auto watch = two->WatchOthers(told.Observer());
  SendUntil(one.get(), [&] { return !told.Await(0).empty(); });
  ASSERT_TRUE(Connect(address)
                  ->Exec("BEGIN; ALTER TABLE edge_devices RENAME TO devices_below; CREATE VIEW "
                         "edge_devices AS SELECT id, last_seen, checkpoint_id, health_status, "
                         "has_detections, status, CASE WHEN device_id = 'BAD' THEN (1 / "
                         "(length(device_id) - 3))::text ELSE device_id END AS device_id FROM "
                         "devices_below; COMMIT")
                  .ok());
  for (const char* id : {"bad-1", "good-1", "good-2", "bad-2", "good-3", "last"}) {
    const AppendResult stored = Append(one.get(), Detection(id, id[0] == 'b' ? "BAD" : "FIRST"));
    EXPECT_TRUE(stored.status.ok()) << stored.status;
  }
  std::vector<std::string> seen;
  const absl::Time deadline = absl::Now() + kPatience;
  size_t rows = 0;
  while ((seen.empty() || seen.back() != "last") && absl::Now() < deadline) {
    seen.clear();
    const std::vector<StoredElsewhere> all = told.Await(rows + 1);
    rows = all.size();
    for (const StoredElsewhere& row : all) {
      const std::string& id = std::get<DetectionRecord>(row.record).message_id;
      if (id.substr(0, 5) != "first") seen.push_back(id);
    }
  }
  EXPECT_THAT(seen, ElementsAre("good-1", "good-2", "good-3", "last"));
  watch.reset();
}

}  // namespace
}  // namespace viaduct
