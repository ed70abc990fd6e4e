// What only a server can do: be shared, be of another version, ask for a certificate.
#include "core/store/postgres_store.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/store/postgres_queries.h"
#include "core/store/postgres_schema.h"
#include "core/store/postgres_values.h"
#include "core/store/testing/postgres_fixture.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

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
  const absl::Time deadline = absl::Now() + kPatience;
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
  ASSERT_TRUE(done.WaitForNotificationWithTimeout(kPatience));
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
  options.read_deadline = kPatience;
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
  const absl::Time deadline = absl::Now() + kPatience;
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
  ASSERT_TRUE(done.WaitForNotificationWithTimeout(kPatience));
  for (size_t i = 0; i < results.size(); ++i) EXPECT_EQ(results[i].status.ok(), i % 50 != 7) << i;
  EXPECT_EQ(store->Statistics()->total_detections, 196);
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

// As a node of the version before has left it.
TEST_F(PostgresStoreTest, CountsTheHoursOfWhatWasThereBefore) {
  const PostgresAddress address = PostgresServer::Shared()->NewDatabase();
  auto store = Open(address);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(Append(store.get(), Detection(absl::StrCat("m-", i), "CAM1")).status.ok());
  }
  store.reset();
  ASSERT_TRUE(Connect(address)
                  ->Exec("DROP TABLE detection_hours, detection_hours_pending; DELETE FROM "
                         "schema_version WHERE version = 8")
                  .ok());
  store = Open(address);
  ASSERT_TRUE(Append(store.get(), Detection("m-3", "CAM1")).status.ok());
  const int64_t hour = absl::ToUnixSeconds(clock_.Now()) / 3600;
  const auto counted = [&]() -> int64_t {
    const auto report = ReportOf<HoursReport>(store.get(), HoursQuery{"CAM1", hour, hour + 1});
    return report.ok() && report->size() == 1 ? report->front().detections : 0;
  };
  const absl::Time deadline = absl::Now() + kPatience;
  while (counted() < 4 && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(20));
  EXPECT_EQ(counted(), 4);
  auto db = Connect(address);
  EXPECT_EQ(db->QueryInt("SELECT count(*) FROM detection_hours_pending").value_or(-1), 0);
  // Both nodes take away what neither of them has counted.
  KeptQuery query;
  const auto kept = store->ListKept(query);
  ASSERT_TRUE(kept.ok()) << kept.status();
  ForgetRecord forget;
  for (const KeptRow& row : kept->rows) forget.ids.push_back(row.id);
  auto other = Open(address, "node-2");
  ASSERT_TRUE(Append(other.get(), forget).status.ok());
  EXPECT_EQ(counted(), 0);
}

}  // namespace
}  // namespace viaduct
