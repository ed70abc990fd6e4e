// Cameras of several nodes of one database: who is told when they come and go.
#include "core/store/postgres_presence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "core/store/postgres_store.h"
#include "core/store/testing/postgres_server.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

constexpr absl::Duration kDeadline = absl::Seconds(60);

// Keeps what a watch has told of cameras: "CAM001 online".
class ToldCameras {
 public:
  StoreObserver Observer() {
    StoreObserver observer;
    observer.wanted = [] { return false; };
    observer.cameras = [this](const std::vector<CameraPresence>& changes) {
      const absl::MutexLock lock(&mutex_);
      for (const CameraPresence& change : changes) {
        changes_.push_back(absl::StrCat(change.camera_id, change.online ? " online" : " offline",
                                        change.announced ? " announced" : ""));
      }
    };
    return observer;
  }
  std::vector<std::string> Await(size_t count) {
    const absl::MutexLock lock(&mutex_);
    const auto enough = [this, count] { return changes_.size() >= count; };
    mutex_.AwaitWithTimeout(absl::Condition(&enough), kDeadline);
    return changes_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::string> changes_;
};

class PostgresPresenceTest : public ::testing::Test {
 protected:
  // Far longer than a busy machine keeps a thread waiting that gives signs of life.
  static constexpr absl::Duration kLease = absl::Seconds(5);

  std::unique_ptr<Store> Open(const std::string& node) {
    PostgresStoreOptions options;
    options.address = address_;
    options.node_id = node;
    options.heartbeat = absl::Milliseconds(100);
    options.node_lease = kLease;
    auto opened = OpenPostgresStore(options, &clock_, &log_);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.ok() ? std::move(*opened) : nullptr;
  }
  void Note(Store* store, const std::string& camera, bool online, bool announced = false) {
    store->NotePresence(CameraPresence{camera, "CP1", online, announced, clock_.Now()});
  }
  void AppendLine(Store* store, std::function<void()> done) {
    CommunicationRecord line;
    line.protocol = "rest";
    line.at = clock_.Now();
    std::vector<StoreRecord> records;
    records.emplace_back(line);
    store->Append(std::move(records), [done = std::move(done)](const std::vector<AppendResult>& r) {
      EXPECT_TRUE(r.at(0).status.ok()) << r.at(0).status;
      done();
    });
  }
  std::unique_ptr<PgConnection> Connect() {
    PgConnection::Options options;
    options.address = address_;
    auto db = PgConnection::Open(options);
    EXPECT_TRUE(db.ok()) << db.status();
    return db.ok() ? std::move(*db) : nullptr;
  }
  absl::Status Run(const std::string& sql) { return Connect()->Exec(sql); }
  // The rows of a node that was killed a moment ago while the camera had a session with it.
  absl::Status Leave(const std::string& node, const std::string& camera) {
    return Run(absl::StrCat(
        "INSERT INTO writers (node_id) VALUES ('", node,
        "') ON CONFLICT DO NOTHING;"
        "INSERT INTO node_beats SELECT id, now() FROM writers WHERE node_id = '",
        node,
        "' ON CONFLICT (writer) DO UPDATE SET last_seen = now();"
        "INSERT INTO node_presence SELECT id, 1 FROM writers WHERE node_id = '",
        node,
        "' ON CONFLICT (writer) DO UPDATE SET version = node_presence.version + 1;"
        "INSERT INTO node_cameras SELECT writer, '",
        camera,
        "', 'CP1', true, false, now(), version FROM node_presence JOIN writers ON id = writer "
        "WHERE node_id = '",
        node, "'"));
  }

  const PostgresAddress address_ = PostgresServer::Shared()->NewDatabase();
  SystemClock clock_;
  NullLog log_;
};

TEST_F(PostgresPresenceTest, ACameraIsAtAnotherNodeUntilItIsAtNone) {
  auto one = Open("node-1");
  auto two = Open("node-2");
  auto three = Open("node-3");
  ToldCameras told;
  auto watch = three->WatchOthers(told.Observer());
  Note(three.get(), "OWN", true);
  Note(one.get(), "BOTH", true);
  EXPECT_THAT(told.Await(1), ElementsAre("BOTH online"));
  Note(two.get(), "BOTH", true);
  Note(two.get(), "SECOND", true);
  EXPECT_THAT(told.Await(2), ElementsAre("BOTH online", "SECOND online"));
  Note(one.get(), "BOTH", false);
  Note(one.get(), "REST", true, /*announced=*/true);
  EXPECT_THAT(told.Await(3), ElementsAre("BOTH online", "SECOND online", "REST online announced"));
  Note(two.get(), "BOTH", false);
  EXPECT_THAT(told.Await(4),
              ElementsAre("BOTH online", "SECOND online", "REST online announced", "BOTH offline"));
  two.reset();  // A node that ends takes its cameras along.
  EXPECT_THAT(told.Await(5).back(), "SECOND offline");
  watch.reset();
}

TEST_F(PostgresPresenceTest, ThatACameraFellSilentIsToldOnce) {
  auto one = Open("node-1");
  auto two = Open("node-2");
  ToldCameras told;
  auto watch = two->WatchOthers(told.Observer());
  Note(one.get(), "SESSION", true);
  EXPECT_THAT(told.Await(1), ElementsAre("SESSION online"));
  Note(one.get(), "SILENT", false, /*announced=*/true);
  EXPECT_THAT(told.Await(2).back(), "SILENT offline announced");
  Note(one.get(), "SESSION", false, /*announced=*/true);  // It is there.
  Note(one.get(), "SILENT", true, /*announced=*/true);
  EXPECT_THAT(told.Await(3).back(), "SILENT online announced");
  Note(one.get(), "SILENT", false, /*announced=*/true);
  EXPECT_THAT(told.Await(4).back(), "SILENT offline announced");
  ToldCameras later;
  auto another = two->WatchOthers(later.Observer());
  EXPECT_THAT(later.Await(1), ElementsAre("SESSION online"));
  another.reset();
  watch.reset();
}

TEST_F(PostgresPresenceTest, WhoeverBeginsToWatchLearnsWhoIsThere) {
  auto one = Open("node-1");
  auto two = Open("node-2");
  ToldCameras first;
  auto watch = two->WatchOthers(first.Observer());
  Note(one.get(), "GONE", true);
  first.Await(1);
  Note(one.get(), "GONE", false);
  Note(one.get(), "HERE", true);
  first.Await(3);
  ToldCameras second;
  auto later = two->WatchOthers(second.Observer());
  EXPECT_THAT(second.Await(1), ElementsAre("HERE online"));
  later.reset();
  watch.reset();
}

// As one that was killed: its row says nothing any more.
TEST_F(PostgresPresenceTest, ANodeWithoutSignOfLifeLosesItsCameras) {
  auto alive = Open("alive");
  auto store = Open("watching");
  ASSERT_TRUE(Leave("killed", "CAM1").ok());
  Note(alive.get(), "CAM2", true);
  ToldCameras told;
  auto watch = store->WatchOthers(told.Observer());
  const absl::Time begun = absl::Now();
  std::vector<std::string> changes = told.Await(3);
  EXPECT_GE(absl::Now() - begun, kLease - absl::Seconds(1));
  ASSERT_THAT(changes, SizeIs(3));
  EXPECT_EQ(changes[2], "CAM1 offline");
  watch.reset();
}

// One that waits for a lock holds the row of its node, longer than a lease. The other was killed
// after the wait began: when it is taken for dead, so would the first be.
TEST_F(PostgresPresenceTest, AWriteThatWaitsDoesNotMakeItsNodeLookDead) {
  auto busy = Open("busy");
  auto store = Open("watching");
  ToldCameras told;
  auto watch = store->WatchOthers(told.Observer());
  Note(busy.get(), "STAYS", true);
  ASSERT_THAT(told.Await(1), ElementsAre("STAYS online"));
  auto holder = Connect();
  ASSERT_TRUE(holder->Exec("BEGIN; LOCK TABLE communication_logs IN ACCESS EXCLUSIVE MODE").ok());
  absl::Notification stored;
  AppendLine(busy.get(), [&stored] { stored.Notify(); });
  const absl::Time deadline = absl::Now() + kDeadline;
  constexpr char kWaiting[] =
      "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
      "current_database() AND query LIKE '%communication_logs%'";
  auto observer = Connect();
  while (observer->QueryInt(kWaiting).value_or(0) == 0 && absl::Now() < deadline) {
    std::this_thread::yield();
  }
  ASSERT_TRUE(Leave("killed", "GOES").ok());
  EXPECT_THAT(told.Await(3), ElementsAre("STAYS online", "GOES online", "GOES offline"));
  EXPECT_EQ(observer->QueryInt(kWaiting).value_or(0), 1);  // It waits still.
  ASSERT_TRUE(holder->Exec("COMMIT").ok());
  EXPECT_TRUE(stored.WaitForNotificationWithTimeout(kDeadline));
  watch.reset();
}

// Each writing of cameras is a commit that the senders of the next group wait for.
TEST_F(PostgresPresenceTest, ManyCamerasThatComeAreFewCommits) {
  constexpr int kCameras = 200;
  auto store = Open("node-1");
  auto db = Connect();
  const auto written = [&db] {
    return db->QueryInt("SELECT sum(version)::bigint FROM node_presence").value_or(0);
  };
  const int64_t before = written();
  const absl::Time begun = absl::Now();
  for (int i = 0; i < kCameras; ++i) {
    Note(store.get(), absl::StrCat("CAM", i), true);
    absl::Notification stored;
    AppendLine(store.get(), [&stored] { stored.Notify(); });
    ASSERT_TRUE(stored.WaitForNotificationWithTimeout(kDeadline));
  }
  const int64_t commits = written() - before;
  EXPECT_LE(commits, 2 + (absl::Now() - begun) / absl::Milliseconds(200));
  const absl::Time deadline = absl::Now() + kDeadline;
  const auto noted = [&db] {
    return db->QueryInt("SELECT count(*) FROM node_cameras WHERE online").value_or(0);
  };
  while (noted() < kCameras && absl::Now() < deadline) std::this_thread::yield();
  EXPECT_EQ(noted(), kCameras);
}

TEST_F(PostgresPresenceTest, ANodeThatBeginsAgainEndsTheSessionsOfItsEarlierLife) {
  Open("node-1").reset();
  auto store = Open("watching");
  ASSERT_TRUE(Leave("node-1", "CAM1").ok());
  ToldCameras told;
  auto watch = store->WatchOthers(told.Observer());
  EXPECT_THAT(told.Await(1), ElementsAre("CAM1 online"));
  auto again = Open("node-1");
  EXPECT_THAT(told.Await(2), ElementsAre("CAM1 online", "CAM1 offline"));
  watch.reset();
}

// What was noted while the database was away is written when it is back, and nobody is taken for
// dead because of it.
TEST_F(PostgresPresenceTest, TheDatabaseMayBeAwayMeanwhile) {
  PostgresServer server;
  PostgresStoreOptions options;
  options.address = server.NewDatabase();
  options.heartbeat = absl::Milliseconds(100);
  options.node_lease = kLease;
  options.node_id = "node-1";
  auto one = OpenPostgresStore(options, &clock_, &log_).value();
  options.node_id = "node-2";
  auto two = OpenPostgresStore(options, &clock_, &log_).value();
  ToldCameras told;
  auto watch = two->WatchOthers(told.Observer());
  Note(one.get(), "STAYS", true);
  Note(one.get(), "LEAVES", true);
  ASSERT_THAT(told.Await(2), SizeIs(2));
  server.Stop();
  Note(one.get(), "LEAVES", false);
  Note(one.get(), "COMES", true);
  server.Start();
  const std::vector<std::string> changes = told.Await(4);
  ASSERT_THAT(changes, SizeIs(4));
  EXPECT_THAT(std::vector<std::string>(changes.begin() + 2, changes.end()),
              testing::UnorderedElementsAre("COMES online", "LEAVES offline"));
  watch.reset();
}

// With one that is shorter, a sign of life that comes a little late would end all cameras of a
// healthy node.
TEST(PostgresLeaseTest, ALeaseShorterThanAFewSignsOfLifeIsRefused) {
  SystemClock clock;
  NullLog log;
  PostgresStoreOptions options;
  EXPECT_TRUE(CheckPostgresOptions(options).ok());
  options.heartbeat = absl::Seconds(3);
  options.node_lease = kMinLeaseBeats * options.heartbeat;
  EXPECT_TRUE(CheckPostgresOptions(options).ok());
  options.node_lease -= absl::Milliseconds(1);
  const absl::Status refused = OpenPostgresStore(options, &clock, &log).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refused.message(),
            "store: node_lease, expected at least 12s with a heartbeat of 3s, got 11.999s");
  for (const absl::Duration none : {absl::ZeroDuration(), absl::Seconds(-1)}) {
    options.heartbeat = none;
    EXPECT_EQ(CheckPostgresOptions(options).code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(PostgresPresenceLimitTest, TakesSoManyCamerasAndNoMore) {
  PostgresPresence presence;
  for (size_t i = 0; i < PostgresPresence::kMaxCameras; ++i) {
    ASSERT_TRUE(presence.Note(CameraPresence{absl::StrCat("CAM", i), "", true, false, {}}));
  }
  EXPECT_FALSE(presence.Note(CameraPresence{"ONE MORE", "", true, false, {}}));
  EXPECT_TRUE(presence.Note(CameraPresence{"CAM7", "", false, false, {}}));  // It is one of them.
}

}  // namespace
}  // namespace viaduct
