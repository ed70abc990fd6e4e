// What a node tells of commits whose answer it lost.
#include "core/store/postgres_feed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "core/store/postgres_store.h"
#include "core/store/testing/postgres_server.h"

namespace viaduct {
namespace {

constexpr absl::Duration kDeadline = absl::Seconds(60);
constexpr char kFeed[] = "feed under test";
constexpr int kRows = PostgresFeed::kMaxRowsAtOnce + 100;  // Two pieces.

class PostgresFeedTest : public ::testing::Test {
 protected:
  PgConnection::Options Connection(const std::string& name) const {
    PgConnection::Options options;
    options.address = address_;
    options.application_name = name;
    return options;
  }
  void StoreDetections() {
    PostgresStoreOptions options;
    options.address = address_;
    options.node_id = "node-1";
    auto store = OpenPostgresStore(options, &clock_, &log_).value();
    std::vector<StoreRecord> records;
    for (int i = 0; i < kRows; ++i) {
      DetectionRecord r;
      r.message_id = absl::StrCat("m-", i);
      r.camera_id = "CAM001";
      r.protocol = "rest";
      r.captured_at = r.arrived_at = clock_.Now();
      r.key = MakeMessageKey(r.message_id, r.camera_id, r.captured_at);
      r.payload_json = "{}";
      records.emplace_back(std::move(r));
    }
    absl::Notification done;
    store->Append(std::move(records), [&](const std::vector<AppendResult>&) { done.Notify(); });
    ASSERT_TRUE(done.WaitForNotificationWithTimeout(kDeadline));
  }
  template <typename Condition>
  static void Until(const Condition& condition) {
    const absl::Time deadline = absl::Now() + kDeadline;
    while (!condition() && absl::Now() < deadline) std::this_thread::yield();
    ASSERT_TRUE(condition());
  }

  const PostgresAddress address_ = PostgresServer::Shared()->NewDatabase();
  SystemClock clock_;
  NullLog log_;
};

// The connection is lost between two pieces: the first was told, and is not told again.
TEST_F(PostgresFeedTest, TellsOfALostCommitOnceWhenItIsInterrupted) {
  StoreDetections();
  auto db = PgConnection::Open(Connection("test")).value();
  const int64_t newest = db->QueryInt("SELECT max(id) FROM detections").value();
  const std::string feeds =
      absl::StrCat("FROM pg_stat_activity WHERE application_name = '", kFeed, "'");
  absl::Mutex mutex;
  std::map<std::string, int> told;
  StoreObserver observer;
  observer.wanted = [] { return true; };
  observer.stored = [&](const std::vector<StoredElsewhere>& rows) {
    const absl::MutexLock lock(&mutex);
    if (told.empty()) {
      EXPECT_TRUE(db->Exec(absl::StrCat("SELECT pg_terminate_backend(pid) ", feeds)).ok());
      Until([&] { return db->QueryInt(absl::StrCat("SELECT count(*) ", feeds)).value() == 0; });
    }
    for (const StoredElsewhere& row : rows) ++told[row.id];
  };
  PostgresDoubts doubts;
  doubts.Add({PgPlace{}, PgPlace{}});  // Gone when the feed has begun.
  PostgresFeed::Options options;
  options.connection = Connection(kFeed);
  options.node_id = "node-1";
  options.look_every = options.pause = absl::Milliseconds(50);
  auto feed = std::make_unique<PostgresFeed>(options, observer, &doubts, &clock_, &log_);
  Until([&] { return !doubts.Waiting().has_value(); });
  doubts.Add({PgPlace{}, PgPlace{newest, 0}});
  Until([&] { return !doubts.Waiting().has_value(); });
  feed.reset();
  const absl::MutexLock lock(&mutex);
  EXPECT_EQ(told.size(), static_cast<size_t>(kRows));
  for (const auto& [id, times] : told) EXPECT_EQ(times, 1) << id;
}

}  // namespace
}  // namespace viaduct
