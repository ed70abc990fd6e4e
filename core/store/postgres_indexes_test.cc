// Upgrades and indexes of a database that is in use, and what parts of plates are looked for with.
#include "core/store/postgres_indexes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/store/postgres_schema.h"
#include "core/store/postgres_store.h"
#include "core/store/testing/postgres_server.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr absl::Duration kDeadline = absl::Seconds(60);
constexpr char kMade[] =
    "SELECT count(*) FROM pg_index WHERE indisvalid AND indexrelid IN "
    "(to_regclass('lpr_events_device'), to_regclass('lpr_events_plate'), "
    "to_regclass('health_reports_gateway'))";
constexpr char kWaiting[] =
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
    "current_database()";
constexpr char kAtWork[] =
    "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND "
    "wait_event_type = 'Lock' AND datname = current_database()";
constexpr char kMigrationLock[] = "SELECT pg_advisory_lock(1447379268)";

class PostgresIndexesTest : public ::testing::Test {
 protected:
  std::unique_ptr<Store> Open() {
    PostgresStoreOptions options;
    options.address = address_;
    options.index_check = absl::Milliseconds(100);
    auto opened = OpenPostgresStore(options, &clock_, &log_);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.ok() ? std::move(*opened) : nullptr;
  }
  std::unique_ptr<PgConnection> Connect() {
    PgConnection::Options options;
    options.address = address_;
    options.address.user = "viaduct";
    auto db = PgConnection::Open(options);
    EXPECT_TRUE(db.ok()) << db.status();
    return db.ok() ? std::move(*db) : nullptr;
  }
  DetectionRecord Detection(int number, const std::string& camera, const std::string& plate) {
    DetectionRecord r;
    r.message_id = absl::StrCat("m-", number);
    r.camera_id = camera;
    r.protocol = "rest";
    r.captured_at = r.arrived_at = clock_.Now() + absl::Milliseconds(number);
    r.key = MakeMessageKey(r.message_id, camera, r.captured_at);
    r.plates.push_back(PlateRead{plate, 0.9, "{}", ""});
    r.payload_json = "{}";
    return r;
  }
  static absl::Status Append(Store* store, std::vector<StoreRecord> records) {
    absl::Notification done;
    absl::Status status;
    store->Append(std::move(records), [&](const std::vector<AppendResult>& results) {
      for (const AppendResult& result : results) status.Update(result.status);
      done.Notify();
    });
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kDeadline));
    return status;
  }
  absl::Status AppendOne(Store* store, int number) {
    return Append(store, {Detection(number, "CAM", "1AB2345")});
  }
  template <typename Condition>
  static void Until(const Condition& condition) {
    const absl::Time deadline = absl::Now() + kDeadline;
    while (!condition() && absl::Now() < deadline) std::this_thread::yield();
    ASSERT_TRUE(condition());
  }
  void UntilMade() {
    auto db = Connect();
    Until([&db] { return db->QueryInt(kMade).value_or(0) == 3; });
  }

  PostgresAddress address_ = PostgresServer::Shared()->NewDatabase();
  SystemClock clock_;
  NullLog log_;
};

// A reader with an older snapshot keeps the index waiting: nobody waits for the index, the end of
// the store neither, and the next start makes it anew.
TEST_F(PostgresIndexesTest, AnIndexIsMadeBesideTheWritingAndAgainAfterAnInterruption) {
  auto store = Open();
  UntilMade();
  store.reset();
  auto db = Connect();
  ASSERT_TRUE(db->Exec("DROP INDEX lpr_events_device; DROP INDEX lpr_events_plate").ok());
  auto reader = Connect();
  ASSERT_TRUE(
      reader->Exec("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM lpr_events_other").ok());
  store = Open();
  Until([&db] { return db->QueryInt(kAtWork).value_or(0) == 1; });
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(AppendOne(store.get(), i).ok());
  EXPECT_EQ(db->QueryInt(kAtWork).value_or(0), 1);
  store.reset();
  ASSERT_TRUE(db->Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE "
                       "'CREATE INDEX CONCURRENTLY%' AND pid <> pg_backend_pid()")
                  .ok());
  Until([&db] { return db->QueryInt(kAtWork).value_or(1) == 0; });
  EXPECT_GT(db->QueryInt("SELECT count(*) FROM pg_index WHERE NOT indisvalid").value_or(0), 0);
  ASSERT_TRUE(reader->Exec("COMMIT").ok());
  store = Open();
  UntilMade();
  EXPECT_EQ(db->QueryInt("SELECT count(*) FROM pg_index WHERE NOT indisvalid").value_or(-1), 0);
}

TEST_F(PostgresIndexesTest, AnExtensionThatComesLaterIsMadeUseOf) {
  auto db = Connect();
  const std::string role = absl::StrCat("late_", address_.database);
  ASSERT_TRUE(db->Exec(absl::StrCat("CREATE ROLE ", role,
                                    " LOGIN; GRANT CREATE ON SCHEMA public TO ", role))
                  .ok());
  address_.user = role;
  auto store = Open();
  Until([&db] { return db->QueryInt(kMade).value_or(0) == 2; });
  ASSERT_TRUE(db->Exec("CREATE EXTENSION pg_trgm").ok());
  UntilMade();
}

// It gives up by itself, and leaves nobody at the server who waits.
TEST_F(PostgresIndexesTest, AMigrationWaitsForItsLockOnlyShortly) {
  auto holder = Connect();
  ASSERT_TRUE(holder->Exec(kMigrationLock).ok());
  auto store = Open();
  EXPECT_EQ(store->Health().state, StoreHealth::State::kFailed);
  EXPECT_THAT(store->Health().reason, HasSubstr("lock timeout"));
  store.reset();
  EXPECT_EQ(holder->QueryInt(kWaiting).value_or(-1), 0);
  ASSERT_TRUE(holder->Exec("SELECT pg_advisory_unlock_all()").ok());
  store = Open();
  EXPECT_EQ(store->Health().state, StoreHealth::State::kOk);
}

TEST_F(PostgresIndexesTest, TablesThatAreUpToDateNeedNoLock) {
  Open().reset();
  auto holder = Connect();
  ASSERT_TRUE(holder->Exec(kMigrationLock).ok());
  auto store = Open();
  EXPECT_EQ(store->Health().state, StoreHealth::State::kOk) << store->Health().reason;
  EXPECT_TRUE(AppendOne(store.get(), 1).ok());
}

// As the node of an older version left them, with what is written meanwhile.
TEST_F(PostgresIndexesTest, TheTablesOfTheFirstVersionAreBroughtUpToDateBesideATransaction) {
  Open().reset();
  auto db = Connect();
  ASSERT_TRUE(
      db->Exec("DROP TABLE node_beats, node_presence, node_cameras, node_silences, file_transfers, "
               "plate_places, detection_hours, detection_hours_pending; DELETE FROM "
               "schema_version WHERE version > 1")
          .ok());
  ASSERT_TRUE(db->Exec("BEGIN; UPDATE writers SET groups = groups + 1; LOCK TABLE lpr_events, "
                       "detections IN ROW EXCLUSIVE MODE")
                  .ok());
  PgConnection::Options options;
  options.address = address_;
  auto other = PgConnection::Open(options).value();
  EXPECT_EQ(MigratePostgres(other.get()).value_or(0), LatestPostgresSchemaVersion());
}

// The oldest event cannot be read: whoever reads all events fails.
TEST_F(PostgresIndexesTest, AShortOrCommonPartOfAPlateIsLookedForByTime) {
  constexpr int kEvents = 3'000;
  ASSERT_TRUE(
      Connect()
          ->Exec(absl::StrCat("ALTER DATABASE ", address_.database, " SET enable_seqscan = off"))
          .ok());
  auto store = Open();
  UntilMade();
  std::vector<StoreRecord> records;
  records.emplace_back(Detection(0, "OLD", "7AB0000"));
  for (int i = 1; i <= kEvents; ++i) {
    records.emplace_back(Detection(i, "CAM", i % 4 == 0 ? "1AB2345" : "9ZZ6789"));
  }
  ASSERT_TRUE(Append(store.get(), std::move(records)).ok());
  ASSERT_TRUE(
      Connect()
          ->Exec("ANALYZE; BEGIN; ALTER TABLE lpr_events RENAME TO events_below; CREATE VIEW "
                 "lpr_events AS SELECT id, event_id, edge_device_id, CASE WHEN edge_device_id = "
                 "'OLD' THEN (1 / (length(edge_device_id) - 3))::text ELSE license_plate END AS "
                 "license_plate, confidence, image_path, metadata, created_at, updated_at, "
                 "captured_at, detection FROM events_below; COMMIT")
          .ok());
  EventsQuery query;
  query.limit = 600;  // More than the newest events have, fewer than all.
  for (const char* part : {"ab", "1AB", "b2345"}) {
    query.plate = part;
    const auto page = store->ListEvents(query);
    ASSERT_TRUE(page.ok()) << part << ": " << page.status();
    EXPECT_THAT(page->rows, SizeIs(600));
  }
}

}  // namespace
}  // namespace viaduct
