// What only a server can do: be away, be shared, be of another version, ask for a certificate.
#include "core/store/postgres_store.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "core/observe/log.h"
#include "core/store/postgres_queries.h"
#include "core/store/postgres_schema.h"
#include "core/store/postgres_values.h"
#include "core/store/testing/postgres_server.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr absl::Duration kDeadline = absl::Seconds(60);

AppendResult Append(Store* store, StoreRecord record) {
  absl::Notification done;
  AppendResult out{absl::DeadlineExceededError("no answer"), false, ""};
  std::vector<StoreRecord> records;
  records.push_back(std::move(record));
  store->Append(std::move(records), [&](std::vector<AppendResult> results) {
    out = std::move(results[0]);
    done.Notify();
  });
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(kDeadline));
  return out;
}

class PostgresStoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<Store> Open(const PostgresAddress& address, const std::string& node = "node-1") {
    PostgresStoreOptions options;
    options.address = address;
    options.node_id = node;
    options.connect_timeout = absl::Seconds(3);
    auto opened = OpenPostgresStore(options, &clock_, &log_);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.ok() ? std::move(*opened) : nullptr;
  }
  std::unique_ptr<PgConnection> Connect(const PostgresAddress& address) {
    PgConnection::Options options;
    options.address = address;
    auto db = PgConnection::Open(options);
    EXPECT_TRUE(db.ok()) << db.status();
    return db.ok() ? std::move(*db) : nullptr;
  }
  void UntilIndexed(const PostgresAddress& address) {
    auto db = Connect(address);
    const auto made = [&db] {
      return db
          ->QueryInt(
              "SELECT count(*) FROM pg_index WHERE indisvalid AND indexrelid = "
              "to_regclass('lpr_events_plate')")
          .value_or(0);
    };
    const absl::Time deadline = absl::Now() + kDeadline;
    while (made() == 0 && absl::Now() < deadline) std::this_thread::yield();
    EXPECT_EQ(made(), 1);
  }
  DetectionRecord Detection(const std::string& id, const std::string& camera = "CAM001") {
    DetectionRecord r;
    r.message_id = id;
    r.camera_id = camera;
    r.checkpoint_id = "CP01";
    r.protocol = "rest";
    r.captured_at = r.arrived_at = clock_.Now();
    r.key = MakeMessageKey(id, camera, r.captured_at);
    r.plates.push_back(PlateRead{"1AB2345", 0.9, R"({"text":"1AB2345"})", ""});
    r.payload_json = R"({"a":1})";
    return r;
  }
  // Tries as a sender does; the clock moves on, so that the store tries to connect again.
  AppendResult AppendUntilStored(Store* store, const StoreRecord& record) {
    const absl::Time deadline = absl::Now() + kDeadline;
    AppendResult result;
    do {
      result = Append(store, record);
      clock_.Advance(absl::Seconds(1));
    } while (!result.status.ok() && absl::Now() < deadline);
    return result;
  }

  FakeClock clock_;
  NullLog log_;
};

TEST_F(PostgresStoreTest, SaysItsVersionAndSize) {
  auto store = Open(PostgresServer::Shared()->NewDatabase());
  EXPECT_TRUE(Append(store.get(), Detection("m-1")).status.ok());
  const StoreHealth health = store->Health();
  EXPECT_EQ(health.state, StoreHealth::State::kOk);
  EXPECT_EQ(health.reason, "");
  EXPECT_EQ(health.schema_version, LatestPostgresSchemaVersion());
  EXPECT_GT(health.bytes, 1'000'000);
  EXPECT_EQ(health.committed_records, 1);
}

TEST_F(PostgresStoreTest, LeavesTheTablesOfANewerVersionAsTheyAre) {
  const PostgresAddress address = PostgresServer::Shared()->NewDatabase();
  Open(address).reset();
  ASSERT_TRUE(Connect(address)->Exec("INSERT INTO schema_version VALUES (99)").ok());
  PostgresStoreOptions options;
  options.address = address;
  const auto opened = OpenPostgresStore(options, &clock_, &log_);
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(opened.status().message(), HasSubstr("written by a newer version, schema 99"));
}

TEST_F(PostgresStoreTest, LeavesTheTablesOfAnotherProgramAsTheyAre) {
  const PostgresAddress address = PostgresServer::Shared()->NewDatabase();
  ASSERT_TRUE(Connect(address)->Exec("CREATE TABLE lpr_events (id int)").ok());
  PostgresStoreOptions options;
  options.address = address;
  const auto opened = OpenPostgresStore(options, &clock_, &log_);
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(opened.status().message(), HasSubstr("belong to another program"));
}

TEST_F(PostgresStoreTest, NodesThatStartTogetherMigrateOnce) {
  const PostgresAddress address = PostgresServer::Shared()->NewDatabase();
  std::vector<std::unique_ptr<Store>> stores(4);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < stores.size(); ++i) {
    threads.emplace_back([&, i] { stores[i] = Open(address, absl::StrCat("node-", i)); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& store : stores) EXPECT_EQ(store->Health().state, StoreHealth::State::kOk);
  const auto versions = Connect(address)->QueryInt("SELECT count(*) FROM schema_version");
  EXPECT_EQ(versions.value_or(0), LatestPostgresSchemaVersion());
}

// The same cameras over both, in opposite orders, and the same messages over both.
TEST_F(PostgresStoreTest, TwoNodesCountRightWhateverTheyWriteAtOnce) {
  constexpr int kEach = 400;
  const PostgresAddress address = PostgresServer::Shared()->NewDatabase();
  std::vector<std::unique_ptr<Store>> stores;
  for (const char* node : {"node-1", "node-2"}) stores.push_back(Open(address, node));
  std::atomic<int> answered{0};
  std::atomic<int> duplicates{0};
  std::atomic<int> failed{0};
  const auto count = [&](const std::vector<AppendResult>& results) {
    for (const AppendResult& result : results) {
      failed += result.status.ok() ? 0 : 1;
      duplicates += result.duplicate ? 1 : 0;
    }
    answered += static_cast<int>(results.size());
  };
  std::vector<std::thread> threads;
  for (size_t node = 0; node < stores.size(); ++node) {
    threads.emplace_back([&, node] {
      for (int i = 0; i < kEach; ++i) {
        const int n = node == 0 ? i : kEach - i;
        std::vector<StoreRecord> records;
        records.emplace_back(
            Detection(absl::StrCat("own-", node, "-", n), absl::StrCat("CAM", n % 7)));
        records.emplace_back(Detection(absl::StrCat("both-", i), absl::StrCat("CAM", i % 7)));
        stores[node]->Append(std::move(records), count);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  stores.clear();  // Everything is answered.
  EXPECT_EQ(answered, 4 * kEach);
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(duplicates, kEach);
  auto store = Open(address, "node-3");
  const auto statistics = store->Statistics();
  ASSERT_TRUE(statistics.ok()) << statistics.status();
  EXPECT_EQ(statistics->total_detections, 3 * kEach);
  EXPECT_EQ(statistics->today_detections, 3 * kEach);
  EXPECT_EQ(statistics->unique_cameras, 7);
  EXPECT_EQ(statistics->total_cameras, 7);
  RecordsQuery query;
  query.checkpoint_id = "CP01";
  EXPECT_EQ(store->ListRecords(query)->total, 3 * kEach);
  EXPECT_EQ(Connect(address)->QueryInt("SELECT count(*) FROM detections").value_or(0), 3 * kEach);
}

TEST_F(PostgresStoreTest, EventsLieInThePartitionOfTheirArrivalWhateverTheCameraThinks) {
  const PostgresAddress address = PostgresServer::Shared()->NewDatabase();
  auto store = Open(address);
  DetectionRecord old = Detection("old");
  old.captured_at = absl::FromUnixSeconds(0);
  DetectionRecord future = Detection("future");
  future.captured_at = clock_.Now() + absl::Hours(24 * 365 * 100);
  EXPECT_TRUE(Append(store.get(), old).status.ok());
  EXPECT_TRUE(Append(store.get(), future).status.ok());
  auto db = Connect(address);
  EXPECT_EQ(db->QueryInt("SELECT count(*) FROM lpr_events_2024_01").value_or(-1), 2);
  EXPECT_EQ(db->QueryInt("SELECT count(*) FROM lpr_events_2024_03").value_or(-1), 0);  // Ahead.
  EXPECT_TRUE(Append(store.get(), old).duplicate);
  const auto page = store->ListEvents(EventsQuery());
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_THAT(page->rows, SizeIs(2));
  EXPECT_EQ(page->rows[0].captured_at, future.captured_at);
  EXPECT_EQ(page->rows[1].captured_at, old.captured_at);
}

// The server's own clock was wrong: rows wait in the default partition until their month is made.
TEST_F(PostgresStoreTest, AMonthThatIsMadeLaterTakesItsRowsAlong) {
  const PostgresAddress address = PostgresServer::Shared()->NewDatabase();
  auto store = Open(address);
  DetectionRecord late = Detection("late");
  late.arrived_at = clock_.Now() + absl::Hours(24 * 200);
  EXPECT_TRUE(Append(store.get(), late).status.ok());
  auto db = Connect(address);
  EXPECT_EQ(db->QueryInt("SELECT count(*) FROM lpr_events_other").value_or(-1), 1);
  ASSERT_TRUE(EnsurePartitions(db.get(), late.arrived_at).ok());
  EXPECT_EQ(db->QueryInt("SELECT count(*) FROM lpr_events_other").value_or(-1), 0);
  EXPECT_EQ(db->QueryInt("SELECT count(*) FROM lpr_events_2024_08").value_or(-1), 1);
  const auto event = store->GetEvent(FormatKey(late.key) + "-1");
  EXPECT_TRUE(event.ok()) << event.status();
}

TEST_F(PostgresStoreTest, AnEventIdIsUniqueOverAllPartitions) {
  auto store = Open(PostgresServer::Shared()->NewDatabase());
  EventRecord event;
  event.event_id = "e-1";
  event.device_id = "CAM001";
  event.at = clock_.Now();
  EXPECT_FALSE(Append(store.get(), event).duplicate);
  event.at = clock_.Now() + absl::Hours(24 * 40);
  EXPECT_TRUE(Append(store.get(), event).duplicate);
  EventRecord taken = event;
  taken.event_id = FormatKey(Detection("m-1").key) + "-1";
  EXPECT_EQ(Append(store.get(), taken).status.code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(PostgresStoreTest, WhatPostgresWouldRefuseInTextIsReplaced) {
  auto store = Open(PostgresServer::Shared()->NewDatabase());
  DetectionRecord record = Detection("zero");
  record.note = std::string("a\0b", 3);
  record.plates[0].text = std::string("1\0A", 3);
  record.plates[0].metadata_json =
      R"({"zero":"\u0000","half":"\ud800x","pair":"\ud83d\ude00","kept":"\\u0000"})";
  const AppendResult result = Append(store.get(), record);
  ASSERT_TRUE(result.status.ok()) << result.status;
  const auto page = store->ListRecords(RecordsQuery());
  ASSERT_TRUE(page.ok()) << page.status();
  const DetectionRecord& stored = page->rows.at(0).record;
  EXPECT_EQ(stored.note,
            "a\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(stored.plates.at(0).text,
            "1\xEF\xBF\xBD"
            "A");
  EXPECT_THAT(stored.plates[0].metadata_json, HasSubstr(R"("kept":"\\u0000")"));
  EXPECT_THAT(stored.plates[0].metadata_json, HasSubstr("\"pair\":\"\xF0\x9F\x98\x80\""));
  record = Detection("not text");
  record.note = "\xff\xfe";
  EXPECT_EQ(Append(store.get(), record).status.code(), absl::StatusCode::kInvalidArgument);
}

// Not the sender's fault: the message must not be thrown away.
TEST_F(PostgresStoreTest, AnErrorThatNobodyUnderstandsIsToldAsOneToTryAgain) {
  const PostgresAddress address = PostgresServer::Shared()->NewDatabase();
  auto store = Open(address);
  ASSERT_TRUE(Connect(address)
                  ->Exec("CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                         "RAISE EXCEPTION 'odd' USING ERRCODE = 'XX000'; END $$; CREATE TRIGGER t "
                         "BEFORE INSERT ON detections FOR EACH ROW WHEN (NEW.message_id = 'odd') "
                         "EXECUTE FUNCTION fail()")
                  .ok());
  EXPECT_EQ(Append(store.get(), Detection("odd")).status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(Append(store.get(), Detection("even")).status.ok());
  EXPECT_EQ(store->Health().state, StoreHealth::State::kOk);
}

TEST_F(PostgresStoreTest, ADumpThatHoldsTheTableKeepsNobodyFromWriting) {
  const PostgresAddress address = PostgresServer::Shared()->NewDatabase();
  Open(address).reset();
  clock_.Advance(absl::Hours(24 * 200));
  auto dump = Connect(address);
  ASSERT_TRUE(dump->Exec("BEGIN; LOCK TABLE lpr_events IN ACCESS SHARE MODE").ok());
  auto store = Open(address);
  EXPECT_EQ(store->Health().state, StoreHealth::State::kOk) << store->Health().reason;
  EXPECT_TRUE(Append(store.get(), Detection("m-1")).status.ok());
  ASSERT_TRUE(dump->Exec("COMMIT").ok());
  const auto made = [&dump] {
    return dump->QueryInt("SELECT count(*) FROM lpr_events_2024_08").value_or(-1);
  };
  const absl::Time deadline = absl::Now() + kDeadline;
  for (int i = 0; made() < 0 && absl::Now() < deadline; ++i) {
    clock_.Advance(absl::Seconds(61));
    Append(store.get(), Detection(absl::StrCat("more-", i)));
  }
  EXPECT_GE(made(), 0);
}

// The first host's kernel accepts, and nobody behind it says a word.
TEST_F(PostgresStoreTest, AHostThatSaysNothingIsPassedOver) {
  PostgresServer* const server = PostgresServer::Shared();
  const PostgresAddress real = server->OverTcp(server->NewDatabase());
  const int silent = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ASSERT_EQ(bind(silent, reinterpret_cast<sockaddr*>(&at), size), 0);
  ASSERT_EQ(listen(silent, 8), 0);
  ASSERT_EQ(getsockname(silent, reinterpret_cast<sockaddr*>(&at), &size), 0);
  PgConnection::Options options;
  options.address = real;
  options.address.host.clear();
  options.address.port = 0;
  options.address.url =
      absl::StrCat("host=127.0.0.1,127.0.0.1 port=", ntohs(at.sin_port), ",", server->port());
  options.connect_timeout = absl::Seconds(1);
  const auto db = PgConnection::Open(options);
  EXPECT_TRUE(db.ok()) << db.status();
  close(silent);
}

// More of them than are looked at first, and fewer: both ways lead to the same rows.
TEST_F(PostgresStoreTest, FindsARarePartOfAPlateFarBack) {
  const PostgresAddress address = PostgresServer::Shared()->NewDatabase();
  auto store = Open(address);
  UntilIndexed(address);
  DetectionRecord rare = Detection("rare", "RARE");
  rare.plates[0].text = "\u0e01\u0e02 9876";
  ASSERT_TRUE(Append(store.get(), rare).status.ok());
  clock_.Advance(absl::Seconds(1));
  std::vector<StoreRecord> records;
  for (int i = 0; i < 3'000; ++i) {
    clock_.Advance(absl::Milliseconds(1));
    records.emplace_back(Detection(absl::StrCat("m-", i), absl::StrCat("CAM", i % 5)));
  }
  absl::Notification done;
  store->Append(std::move(records), [&](const std::vector<AppendResult>&) { done.Notify(); });
  ASSERT_TRUE(done.WaitForNotificationWithTimeout(kDeadline));
  EventsQuery query;
  for (const char* part : {"9876", "\u0e02 98", "\u0e02"}) {
    query.plate = part;
    const auto page = store->ListEvents(query);
    ASSERT_TRUE(page.ok()) << page.status();
    ASSERT_THAT(page->rows, SizeIs(1)) << part;
    EXPECT_EQ(page->rows[0].device_id, "RARE");
    EXPECT_EQ(page->next_cursor, "");
  }
  query.plate = "ab23";  // All others have it.
  query.limit = 100;
  size_t seen = 0;
  do {
    const auto page = store->ListEvents(query);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const EventRow& row : page->rows) EXPECT_EQ(row.license_plate, "1AB2345");
    seen += page->rows.size();
    query.cursor = page->next_cursor;
  } while (!query.cursor.empty());
  EXPECT_EQ(seen, 3'000u);
  query.device_id = "RARE";
  EXPECT_THAT(store->ListEvents(query)->rows, SizeIs(0));
}

// Without rights to create the extension all is as it was, only slower.
TEST_F(PostgresStoreTest, ARoleThatMayNotCreateExtensionsFindsPlatesToo) {
  PostgresAddress address = PostgresServer::Shared()->NewDatabase();
  ASSERT_TRUE(
      Connect(address)
          ->Exec(absl::StrCat("CREATE ROLE plain_", address.database,
                              " LOGIN; GRANT CREATE ON SCHEMA public TO plain_", address.database))
          .ok());
  address.user = absl::StrCat("plain_", address.database);
  auto store = Open(address);
  ASSERT_EQ(store->Health().state, StoreHealth::State::kOk) << store->Health().reason;
  ASSERT_TRUE(Append(store.get(), Detection("m-1")).status.ok());
  EventsQuery query;
  query.plate = "b23";
  const auto page = store->ListEvents(query);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_THAT(page->rows, SizeIs(1));
}

// The threads that write images ask it before each message.
TEST_F(PostgresStoreTest, SlowReadersKeepNobodyFromAskingForADetection) {
  PostgresStoreOptions options;
  options.address = PostgresServer::Shared()->NewDatabase();
  options.max_readers = 1;
  options.read_deadline = kDeadline;
  auto store = OpenPostgresStore(options, &clock_, &log_).value();
  const DetectionRecord stored = Detection("m-1");
  ASSERT_TRUE(Append(store.get(), stored).status.ok());
  UntilIndexed(options.address);
  auto holder = Connect(options.address);
  ASSERT_TRUE(holder->Exec("BEGIN; LOCK TABLE lpr_events IN ACCESS EXCLUSIVE MODE").ok());
  std::thread slow([&store] { EXPECT_TRUE(store->ListEvents(EventsQuery()).ok()); });
  const auto waiting = [&] {
    return Connect(options.address)
        ->QueryInt(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
            "datname = current_database()")
        .value_or(0);
  };
  const absl::Time deadline = absl::Now() + kDeadline;
  while (waiting() == 0 && absl::Now() < deadline) std::this_thread::yield();
  const absl::StatusOr<bool> known = store->HasDetection(stored.key);
  EXPECT_TRUE(known.ok()) << known.status();
  EXPECT_EQ(waiting(), 1);
  EXPECT_TRUE(holder->Exec("COMMIT").ok());
  slow.join();
}

TEST_F(PostgresStoreTest, ManyBadRecordsInOneGroupFailAlone) {
  auto store = Open(PostgresServer::Shared()->NewDatabase());
  std::vector<StoreRecord> records;
  for (int i = 0; i < 200; ++i) {
    DetectionRecord record = Detection(absl::StrCat("m-", i), absl::StrCat("CAM", i % 5));
    if (i % 50 == 7) record.plates[0].confidence = 3;
    records.emplace_back(std::move(record));
  }
  absl::Notification done;
  std::vector<AppendResult> results;
  store->Append(std::move(records), [&](std::vector<AppendResult> out) {
    results = std::move(out);
    done.Notify();
  });
  ASSERT_TRUE(done.WaitForNotificationWithTimeout(kDeadline));
  for (size_t i = 0; i < results.size(); ++i) EXPECT_EQ(results[i].status.ok(), i % 50 != 7) << i;
  EXPECT_EQ(store->Statistics()->total_detections, 196);
}

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
    const absl::Time deadline = absl::Now() + kDeadline;
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
    mutex_.AwaitWithTimeout(absl::Condition(&enough), kDeadline);
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
  // Until the watch has begun it tells of nothing: messages of one camera until one arrives.
  int sent = 0;
  const absl::Time patience = absl::Now() + kDeadline;
  while (told.Await(0).empty() && absl::Now() < patience) {
    Append(one.get(), Detection(absl::StrCat("first-", sent++), "FIRST"));
  }
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
  const absl::Time deadline = absl::Now() + kDeadline;
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
  int sent = 0;
  const absl::Time patience = absl::Now() + kDeadline;
  while (told.Await(0).empty() && absl::Now() < patience) {
    Append(one.get(), Detection(absl::StrCat("first-", sent++), "FIRST"));
  }
  auto db = Connect(address);
  ASSERT_TRUE(db->Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE (query LIKE "
                       "'LISTEN%' OR query LIKE '%last_health_report, node_id%') AND pid <> "
                       "pg_backend_pid()")
                  .ok());
  for (int i = 0; i < 20; ++i) Append(one.get(), Detection(absl::StrCat("late-", i), "LATE"));
  const absl::Time deadline = absl::Now() + kDeadline;
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
  const auto until = [&db](const std::string& condition) {
    const absl::Time deadline = absl::Now() + kDeadline;
    while (db->QueryInt(condition).value_or(0) == 0 && absl::Now() < deadline) {
      std::this_thread::yield();
    }
  };
  until("SELECT current_setting('synchronous_standby_names') = 'nobody'");
  AppendResult lost;
  std::thread sender([&] { lost = Append(store.get(), Detection("lost")); });
  until("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
  ASSERT_TRUE(db->Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = "
                       "'SyncRep'")
                  .ok());
  sender.join();
  EXPECT_EQ(lost.status.code(), absl::StatusCode::kUnavailable) << lost.status;
  ASSERT_TRUE(db->Exec("ALTER SYSTEM RESET synchronous_standby_names").ok());
  ASSERT_TRUE(db->Exec("SELECT pg_reload_conf()").ok());
  const AppendResult again = AppendUntilStored(store.get(), Detection("lost"));
  EXPECT_TRUE(again.duplicate);
  const std::vector<StoredElsewhere> rows = told.Await(1);
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(std::get<DetectionRecord>(rows[0].record).message_id, "lost");
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
    mutex_.AwaitWithTimeout(absl::Condition(&enough), kDeadline);
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
  int sent = 0;
  const absl::Time patience = absl::Now() + kDeadline;
  while (told.Await(0).empty() && absl::Now() < patience) {
    Append(one.get(), Detection(absl::StrCat("first-", sent++), "FIRST"));
  }
  server.Stop();
  log.Await(1);
  server.Start();
  EXPECT_THAT(log.Await(2), ElementsAre("cannot follow other nodes, it is tried again",
                                        "following other nodes again"));
  AppendUntilStored(one.get(), Detection("after", "AFTER"));
  const absl::Time deadline = absl::Now() + kDeadline;
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
  int sent = 0;
  const absl::Time patience = absl::Now() + kDeadline;
  while (told.Await(0).empty() && absl::Now() < patience) {
    Append(one.get(), Detection(absl::StrCat("first-", sent++), "FIRST"));
  }
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
  const absl::Time deadline = absl::Now() + kDeadline;
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

TEST_F(PostgresStoreTest, ChecksTheCertificateOfTheServer) {
  PostgresServer server;
  const std::string folder = server.folder();
  const std::string make = absl::StrCat(
      "cd ", folder,
      "/data && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost ",
      "-addext subjectAltName=IP:127.0.0.1 -keyout server.key -out server.crt 2>/dev/null && ",
      "chmod 600 server.key && chown --reference=PG_VERSION server.key server.crt && ",
      "cp server.crt ../ca.pem && printf 'ssl = on\\n' >> postgresql.conf");
  ASSERT_EQ(std::system(make.c_str()), 0);
  const PostgresAddress plain = server.NewDatabase();
  server.Stop();
  server.Start();
  PostgresAddress address = server.OverTcp(plain);
  address.ssl_mode = "verify-full";
  address.ssl_ca = folder + "/ca.pem";
  auto store = Open(address);
  EXPECT_TRUE(Append(store.get(), Detection("m-1")).status.ok());
  EXPECT_GT(Connect(plain)
                ->QueryInt("SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a ON a.pid = "
                           "s.pid WHERE s.ssl AND a.application_name LIKE 'viaduct%'")
                .value_or(0),
            0);
  // Another authority: the store does not talk to it.
  ASSERT_EQ(
      std::system(absl::StrCat("cd ", folder, " && openssl req -x509 -newkey rsa:2048 -nodes ",
                               "-days 2 -subj /CN=other -keyout other.key -out other.pem ",
                               "2>/dev/null")
                      .c_str()),
      0);
  address.ssl_ca = folder + "/other.pem";
  auto refused = Open(address);
  EXPECT_EQ(refused->Health().state, StoreHealth::State::kFailed);
  EXPECT_THAT(refused->Health().reason, HasSubstr("certificate verify failed"));
}

TEST_F(PostgresStoreTest, NoErrorShowsThePassword) {
  PostgresStoreOptions options;
  options.address.url = "postgresql://u:s3cret%zz@127.0.0.1:1/db";
  const auto bad = OpenPostgresStore(options, &clock_, &log_);
  EXPECT_EQ(bad.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(bad.status().message(), Not(HasSubstr("s3cret")));
  options.address.url = "postgresql://u:s3cret@127.0.0.1:1/db";
  const auto open = OpenPostgresStore(options, &clock_, &log_);
  EXPECT_EQ(open.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(open.status().message(), Not(HasSubstr("s3cret")));
  options.address.url = "postgresql://u@127.0.0.1:1/db";
  options.address.password = "s3cret";
  const auto away = OpenPostgresStore(options, &clock_, &log_);
  ASSERT_TRUE(away.ok());
  EXPECT_EQ((*away)->Health().state, StoreHealth::State::kFailed);
  EXPECT_THAT((*away)->Health().reason, Not(HasSubstr("s3cret")));
}

TEST_F(PostgresStoreTest, ANotSynchronousServerIsMadeToCommitSynchronously) {
  const PostgresAddress address = PostgresServer::Shared()->NewDatabase();
  ASSERT_TRUE(
      Connect(address)
          ->Exec(absl::StrCat("ALTER DATABASE ", address.database, " SET synchronous_commit = off"))
          .ok());
  EXPECT_EQ(
      Connect(address)->QueryInt("SELECT current_setting('synchronous_commit') = 'on'").value_or(0),
      1);
}

TEST(PostgresStatusTest, SaysWhatTheCallerShouldDo) {
  const auto code = [](const char* state) { return PostgresStatus(state, "w", "m").code(); };
  EXPECT_EQ(code(""), absl::StatusCode::kUnavailable);
  EXPECT_EQ(code("57P01"), absl::StatusCode::kUnavailable);  // Shut down by an administrator.
  EXPECT_EQ(code("25006"), absl::StatusCode::kUnavailable);  // A standby.
  EXPECT_EQ(code("53300"), absl::StatusCode::kUnavailable);  // Too many connections.
  EXPECT_EQ(code("53100"), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(code("40P01"), absl::StatusCode::kAborted);
  EXPECT_EQ(code("57014"), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(code("22021"), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code("42501"), absl::StatusCode::kFailedPrecondition);
}

TEST(CompactJsonTest, LeavesStringsAlone) {
  EXPECT_EQ(CompactJson(R"({"a b": "c, d: \" e", "f": [1, 2]})"),
            R"({"a b":"c, d: \" e","f":[1,2]})");
}

}  // namespace
}  // namespace viaduct
