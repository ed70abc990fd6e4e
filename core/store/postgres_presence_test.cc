// Cameras of several nodes of one database: who is told when they come and go.
#include "core/store/postgres_presence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
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
  absl::Status Run(const std::string& sql) {
    PgConnection::Options options;
    options.address = address_;
    auto db = PgConnection::Open(options);
    return db.ok() ? (*db)->Exec(sql) : db.status();
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
  ASSERT_TRUE(Run("INSERT INTO writers (node_id, last_seen, presence) VALUES ('killed', now(), 1); "
                  "INSERT INTO node_cameras SELECT id, 'CAM1', 'CP1', true, false, now(), 1 FROM "
                  "writers WHERE node_id = 'killed'")
                  .ok());
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

TEST_F(PostgresPresenceTest, ANodeThatBeginsAgainEndsTheSessionsOfItsEarlierLife) {
  Open("node-1").reset();
  auto store = Open("watching");
  ASSERT_TRUE(Run("UPDATE writers SET last_seen = now(), presence = presence + 1; INSERT INTO "
                  "node_cameras SELECT id, 'CAM1', 'CP1', true, false, now(), presence FROM "
                  "writers WHERE node_id = 'node-1'")
                  .ok());
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
