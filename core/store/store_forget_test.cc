// What every implementation of Store does with what is to be looked through and forgotten.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "core/store/kept_rows.h"
#include "core/store/testing/store_fixture.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class StoreForgetTest : public StoreTest {
 protected:
  std::vector<KeptRow> All(KeptQuery query) {
    std::vector<KeptRow> rows;
    do {
      absl::StatusOr<KeptPage> page = store_->ListKept(query);
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok()) return rows;
      for (KeptRow& row : page->rows) rows.push_back(std::move(row));
      query.after = page->next;
    } while (!query.after.empty());
    return rows;
  }
  std::vector<KeptRow> All(KeptTable table) {
    KeptQuery query;
    query.table = table;
    return All(query);
  }
  void Forget(KeptTable table, const std::vector<KeptRow>& rows, bool only_images = false) {
    ForgetRecord record;
    record.table = table;
    record.only_images = only_images;
    for (const KeptRow& row : rows) {
      if (table == KeptTable::kEvents) {
        record.event_ids.push_back(row.event_id);
      } else {
        record.ids.push_back(row.id);
      }
    }
    const AppendResult result = AppendOne(record);
    EXPECT_TRUE(result.status.ok()) << result.status;
    EXPECT_EQ(result.id, absl::StrCat(rows.size()));
  }
  DetectionRecord WithPlate(const std::string& id, const std::string& plate,
                            const std::string& camera = "CAM001") {
    DetectionRecord r = Detection(id, camera);
    r.plates[0].text = plate;
    r.plates[0].metadata_json = absl::StrCat(R"({"text":")", plate, R"("})");
    r.payload_json = absl::StrCat(R"({"ocr_results":[")", plate, R"("]})");
    return r;
  }
  std::vector<std::string> Listed(const std::string& camera) {
    RecordsQuery query;
    query.camera_id = camera;
    const absl::StatusOr<RecordsPage> page = store_->ListRecords(query);
    EXPECT_TRUE(page.ok()) << page.status();
    std::vector<std::string> ids;
    if (!page.ok()) return ids;
    for (const DetectionRow& row : page->rows) ids.push_back(row.record.message_id);
    EXPECT_EQ(page->total, static_cast<int64_t>(ids.size()));
    return ids;
  }
};

TEST_P(StoreForgetTest, LooksThroughEverythingInPages) {
  std::vector<StoreRecord> records;
  for (int i = 0; i < KeptQuery::kRows + 20; ++i) {
    records.emplace_back(WithPlate(absl::StrCat("m-", i), i % 2 == 0 ? "1AB 2345" : "XY-9"));
  }
  Append(std::move(records));
  EXPECT_THAT(All(KeptTable::kDetections), SizeIs(KeptQuery::kRows + 20));
  EXPECT_THAT(All(KeptTable::kEvents), SizeIs(KeptQuery::kRows + 20));
  KeptQuery query;
  query.plate_key = "1AB2345";
  query.with_json = true;
  const std::vector<KeptRow> rows = All(query);
  ASSERT_THAT(rows, SizeIs(KeptQuery::kRows / 2 + 10));
  EXPECT_EQ(rows[0].device_id, "CAM001");
  EXPECT_THAT(rows[0].json, HasSubstr(R"("payload":{"ocr_results":["1AB 2345"]})"));
  query.table = KeptTable::kEvents;
  EXPECT_THAT(All(query), SizeIs(KeptQuery::kRows / 2 + 10));
}

TEST_P(StoreForgetTest, LargeTextsMakeShortPages) {
  for (int i = 0; i < 5; ++i) {
    DetectionRecord record = WithPlate(absl::StrCat("m-", i), "A1");
    record.payload_json =
        absl::StrCat(R"({"ocr_results":["A1"],"fill":")", std::string(6u << 20, 'x'), "\"}");
    AppendOne(record);
  }
  KeptQuery query;
  query.plate_key = "A1";
  query.with_json = true;
  EXPECT_LT(store_->ListKept(query)->rows.size(), 5u);
  EXPECT_THAT(All(query), SizeIs(5));
}

TEST_P(StoreForgetTest, EveryTableCanBeLookedThrough) {
  AppendOne(WithPlate("m-1", "A1"));
  AppendOne(HealthReport("h-1", "healthy"));
  MessageRecord message;
  message.message_id = "c-1";
  message.camera_id = "CAM001";
  message.data_type = "config";
  message.protocol = "rest";
  message.captured_at = message.arrived_at = clock_.Now();
  message.key = MakeMessageKey(message.message_id, message.camera_id, message.captured_at);
  message.payload_json = R"({"note":"A1"})";
  AppendOne(message);
  CommunicationRecord log;
  log.protocol = "rest";
  log.source = "CAM001";
  log.error_message = "plates/0: unknown, \"WXYZ 123\"";
  log.at = clock_.Now();
  AppendOne(log);
  FileTransferRecord file;
  file.transfer_id = "0190a6f0-1234-7abc-8def-0123456789ab";
  file.sha256 = std::string(64, 'a');
  file.at = file.captured_at = clock_.Now();
  file.device_id = "CAM001";
  file.name = "log.txt";
  AppendOne(file);
  file.action = FileTransferRecord::Action::kSettle;
  file.state = FileState::kStored;
  AppendOne(file);
  for (const KeptTable table :
       {KeptTable::kDetections, KeptTable::kEvents, KeptTable::kHealth, KeptTable::kMessages,
        KeptTable::kCommunication, KeptTable::kFileTransfers, KeptTable::kDevices}) {
    KeptQuery query;
    query.table = table;
    query.device_id = "CAM001";
    query.with_json = true;
    const std::vector<KeptRow> rows = All(query);
    ASSERT_THAT(rows, SizeIs(1)) << KeptTableName(table);
    EXPECT_THAT(rows[0].json, HasSubstr("CAM001"));
    EXPECT_EQ(rows[0].file_id, table == KeptTable::kFileTransfers ? file.transfer_id : "");
    query.device_id.clear();
    query.plate_key = table == KeptTable::kCommunication ? "WXYZ123" : "A1";
    const bool names = table != KeptTable::kHealth && table != KeptTable::kFileTransfers &&
                       table != KeptTable::kDevices;
    EXPECT_THAT(All(query), SizeIs(names ? 1 : 0)) << KeptTableName(table);
  }
  for (const KeptTable table : {KeptTable::kEvents, KeptTable::kHealth, KeptTable::kMessages,
                                KeptTable::kCommunication, KeptTable::kFileTransfers}) {
    Forget(table, All(table));
    EXPECT_THAT(All(table), IsEmpty()) << KeptTableName(table);
  }
}

TEST_P(StoreForgetTest, FindsByDeviceAndByAge) {
  AppendOne(WithPlate("old", "A1", "CAM001"));
  AppendOne(HealthReport("h-1", "healthy"));
  clock_.Advance(absl::Hours(24));
  AppendOne(WithPlate("new", "A2", "CAM002"));
  KeptQuery query;
  query.device_id = "CAM002";
  EXPECT_THAT(All(query), SizeIs(1));
  query = KeptQuery();
  query.before = clock_.Now() - absl::Hours(1);
  EXPECT_THAT(All(query), SizeIs(1));
  query.table = KeptTable::kHealth;
  EXPECT_THAT(All(query), SizeIs(1));
  EXPECT_THAT(All(KeptTable::kDevices), SizeIs(2));
}

TEST_P(StoreForgetTest, ADetectionGoesWithItsEventsAndFiles) {
  DetectionRecord kept = WithPlate("kept", "A1");
  DetectionRecord gone = WithPlate("gone", "B2");
  gone.plates.push_back(PlateRead{"C3", 0.5, "{}", "", 5});
  gone.image_path = "CAM001/CP01/2024/01/15/detection_x.jpg";
  gone.plate_images = {"", "CAM001/CP01/2024/01/15/plate_x_2.jpg"};
  AppendOne(kept);
  AppendOne(gone);
  KeptQuery query;
  query.plate_key = "B2";
  const std::vector<KeptRow> rows = All(query);
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_THAT(rows[0].images, ElementsAre("CAM001/CP01/2024/01/15/detection_x.jpg",
                                          "CAM001/CP01/2024/01/15/plate_x_2.jpg"));
  Forget(KeptTable::kDetections, rows);
  EXPECT_THAT(Listed("CAM001"), ElementsAre("kept"));
  EXPECT_THAT(EventIds(EventsQuery()), SizeIs(1));
  EXPECT_EQ(Statistics().total_detections, 1);
  EXPECT_EQ(store_->ListRecords(RecordsQuery())->total, 1);
  // Its number is not given again, and the list goes on.
  AppendOne(WithPlate("later", "D4"));
  EXPECT_THAT(Listed("CAM001"), ElementsAre("later", "kept"));
  // What has gone is no duplicate.
  EXPECT_FALSE(AppendOne(gone).duplicate);
}

TEST_P(StoreForgetTest, ListsHoldWhateverGoes) {
  for (int i = 0; i < 9; ++i) {
    AppendOne(WithPlate(absl::StrCat("m-", i), absl::StrCat("P", i), i % 3 == 0 ? "CAM2" : "CAM1"));
  }
  // The newest, one in the middle, the oldest.
  for (const char* plate : {"P8", "P4", "P1"}) {
    KeptQuery query;
    query.plate_key = plate;
    Forget(KeptTable::kDetections, All(query));
  }
  EXPECT_THAT(Listed("CAM1"), ElementsAre("m-7", "m-5", "m-2"));
  EXPECT_THAT(Listed("CAM2"), ElementsAre("m-6", "m-3", "m-0"));
  AppendOne(WithPlate("m-9", "P9", "CAM1"));
  EXPECT_THAT(Listed("CAM1"), ElementsAre("m-9", "m-7", "m-5", "m-2"));
  Open();  // The same after a restart.
  AppendOne(WithPlate("m-10", "P10", "CAM1"));
  EXPECT_THAT(Listed("CAM1"), ElementsAre("m-10", "m-9", "m-7", "m-5", "m-2"));
}

TEST_P(StoreForgetTest, ImagesGoAndTheRowStays) {
  DetectionRecord record = WithPlate("m-1", "A1");
  record.image_path = "a/detection.jpg";
  record.plate_images = {"a/plate.jpg"};
  record.plates[0].image_path = "a/plate.jpg";
  AppendOne(record);
  KeptQuery query;
  query.with_images = true;
  Forget(KeptTable::kDetections, All(query), /*only_images=*/true);
  EXPECT_THAT(All(query), IsEmpty());
  const RecordsPage page = *store_->ListRecords(RecordsQuery());
  ASSERT_THAT(page.rows, SizeIs(1));
  EXPECT_EQ(page.rows[0].record.image_path, "");
  EXPECT_EQ(page.rows[0].record.plates[0].image_path, "");
  EXPECT_EQ(page.rows[0].record.plates[0].text, "A1");
}

TEST_P(StoreForgetTest, ADeviceGoesWhenNothingOfItIsLeft) {
  AppendOne(WithPlate("m-1", "A1"));
  AppendOne(HealthReport("h-1", "healthy"));
  AppendOne(Event("by-hand", "A1", 0.9));
  const std::vector<KeptRow> devices = All(KeptTable::kDevices);
  ASSERT_THAT(devices, SizeIs(1));
  ForgetRecord record;
  record.table = KeptTable::kDevices;
  record.ids = {devices[0].id};
  EXPECT_EQ(AppendOne(record).id, "0");
  Forget(KeptTable::kDetections, All(KeptTable::kDetections));
  Forget(KeptTable::kEvents, All(KeptTable::kEvents));
  Forget(KeptTable::kHealth, All(KeptTable::kHealth));
  EXPECT_EQ(AppendOne(record).id, "1");
  EXPECT_THAT(All(KeptTable::kDevices), IsEmpty());
  EXPECT_EQ(Statistics().total_health_checks, 0);
  // It may come back.
  EXPECT_TRUE(AppendOne(WithPlate("m-2", "A2")).status.ok());
  EXPECT_THAT(Listed("CAM001"), ElementsAre("m-2"));
}

TEST_P(StoreForgetTest, OnlyProseMayHaveAPlateAsAPartOfIt) {
  AppendOne(WithPlate("1AB2345", "OTHER1", "X1AB2345"));
  AppendOne(HealthReport("h-1AB2345", "healthy"));
  KeptQuery query;
  query.plate_key = "1AB2345";
  for (const KeptTable table : {KeptTable::kDetections, KeptTable::kEvents, KeptTable::kHealth}) {
    query.table = table;
    EXPECT_THAT(All(query), IsEmpty()) << KeptTableName(table);
  }
}

template <typename T>
std::unique_ptr<Backend> Make() {
  return std::make_unique<T>();
}

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreForgetTest, ::testing::Values(&Make<SqliteBackend>),
                         [](const auto&) { return "Sqlite"; });
INSTANTIATE_TEST_SUITE_P(Postgres, StoreForgetTest, ::testing::Values(&Make<PostgresBackend>),
                         [](const auto&) { return "Postgres"; });

TEST(PostgresForgetTest, EachNodeForgetsTheImagesThatItHas) {
  const PostgresAddress address = PostgresServer::Shared()->NewDatabase();
  FakeClock clock;
  NullLog log;
  const auto open = [&](const std::string& node) {
    PostgresStoreOptions options;
    options.address = address;
    options.node_id = node;
    return std::move(*OpenPostgresStore(options, &clock, &log));
  };
  const std::unique_ptr<Store> one = open("one");
  const std::unique_ptr<Store> two = open("two");
  const auto put = [&clock](Store* store, const std::string& id, const std::string& image) {
    DetectionRecord r;
    r.message_id = id;
    r.camera_id = "CAM001";
    r.captured_at = r.arrived_at = clock.Now();
    r.key = MakeMessageKey(id, r.camera_id, r.captured_at);
    r.image_path = image;
    std::vector<StoreRecord> records;
    records.emplace_back(std::move(r));
    absl::Notification done;
    store->Append(std::move(records), [&done](const auto&) { done.Notify(); });
    ASSERT_TRUE(done.WaitForNotificationWithTimeout(kDeadline));
  };
  put(one.get(), "m-1", "a/1.jpg");
  put(two.get(), "m-2", "a/2.jpg");
  put(two.get(), "m-3", "");
  KeptQuery query;
  EXPECT_THAT(one->ListKept(query)->rows, SizeIs(3));
  query.own_images = true;
  EXPECT_THAT(one->ListKept(query)->rows, SizeIs(2));
  query.with_images = true;
  EXPECT_THAT(one->ListKept(query)->rows, SizeIs(1));
  EXPECT_TRUE(one->Shared());
}

TEST(KeptRowsTest, FindsAPlateInAnyTextOfADocument) {
  EXPECT_TRUE(JsonNamesPlate(R"({"a":[{"b":"1ab-23 45"}]})", "1AB2345"));
  EXPECT_TRUE(JsonNamesPlate(R"({"1AB2345":1})", "1AB2345"));
  EXPECT_TRUE(JsonNamesPlate("[\"\\u0031AB2345\"]", "1AB2345"));
  EXPECT_FALSE(JsonNamesPlate(R"({"id":"x1AB2345"})", "1AB2345")) << "a part of something else";
  EXPECT_FALSE(JsonNamesPlate(R"({"open":"1AB2345)", "1AB2345"));
  EXPECT_FALSE(JsonNamesPlate("", "1AB2345"));
  EXPECT_TRUE(JsonNamesPlate(R"({"plate_number": 4567})", "4567"));
  EXPECT_TRUE(JsonNamesPlate(R"({"ocr_results":[1,4567]})", "4567"));
  EXPECT_TRUE(JsonNamesPlate("4567 {\"plate\":4567}", "4567"));
  EXPECT_FALSE(JsonNamesPlate(R"({"width":4567})", "4567")) << "a number of something else";
  EXPECT_FALSE(JsonNamesPlate(R"({"camera_id":"CAM001","message_id" : "CAM001"})", "CAM001"));
  EXPECT_FALSE(JsonNamesPlate(R"({"type":"detection_result"})", "DETECTION_RESULT"));
}

// Erased text must not be found in the files, whoever looks past the store.
TEST(SqliteForgetTest, NothingIsLeftInTheFiles) {
  std::string folder = ::testing::TempDir() + "/forget-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  FakeClock clock;
  NullLog log;
  SqliteStoreOptions options;
  options.path = folder + "/store.db";
  std::unique_ptr<Store> store = *OpenSqliteStore(options, &clock, &log);
  const auto append = [&store](std::vector<StoreRecord> records) {
    absl::Notification done;
    store->Append(std::move(records), [&done](const auto&) { done.Notify(); });
    ASSERT_TRUE(done.WaitForNotificationWithTimeout(kDeadline));
  };
  const auto holds = [&folder](const std::string& text) {
    for (const char* name : {"/store.db", "/store.db-wal"}) {
      std::ifstream file(folder + name, std::ios::binary);
      std::stringstream octets;
      octets << file.rdbuf();
      if (octets.str().find(text) != std::string::npos) return true;
    }
    return false;
  };
  // Enough for pages to be split and joined, rows with pages of their own among them.
  for (int group = 0; group < 20; ++group) {
    std::vector<StoreRecord> records;
    for (int i = 0; i < 50; ++i) {
      DetectionRecord r;
      r.message_id = absl::StrCat("m-", group, "-", i);
      r.camera_id = absl::StrCat("CAM", i % 5);
      r.captured_at = r.arrived_at = clock.Now();
      r.key = MakeMessageKey(r.message_id, r.camera_id, r.captured_at);
      const std::string plate = i % 7 == 0 ? "ERASEDPLATE1" : absl::StrCat("KEPT", i);
      r.plates.push_back(PlateRead{plate, 0.9, absl::StrCat(R"({"text":")", plate, R"("})"), ""});
      r.payload_json = absl::StrCat(R"({"ocr_results":[")", plate, R"("],"fill":")",
                                    std::string(i % 7 == 0 && i % 2 == 0 ? 9000 : 100, 'x'), "\"}");
      records.emplace_back(std::move(r));
    }
    append(std::move(records));
  }
  ASSERT_TRUE(holds("ERASEDPLATE1"));
  KeptQuery query;
  query.plate_key = "ERASEDPLATE1";
  int64_t found = 0;
  do {
    KeptPage page = *store->ListKept(query);
    query.after = page.next;
    for (size_t at = 0; at < page.rows.size(); at += ForgetRecord::kMaxIds) {
      ForgetRecord record;
      for (size_t i = at; i < page.rows.size() && record.ids.size() < ForgetRecord::kMaxIds; ++i) {
        record.ids.push_back(page.rows[i].id);
      }
      found += static_cast<int64_t>(record.ids.size());
      std::vector<StoreRecord> records;
      records.emplace_back(std::move(record));
      append(std::move(records));
    }
  } while (!query.after.empty());
  EXPECT_EQ(found, 160);
  ASSERT_TRUE(store->Scrub().ok());
  EXPECT_FALSE(holds("ERASEDPLATE1"));
  EXPECT_TRUE(holds("KEPT1"));
  EXPECT_EQ(store->ListRecords(RecordsQuery())->total, 840);
  store.reset();
  EXPECT_FALSE(holds("ERASEDPLATE1"));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace viaduct
