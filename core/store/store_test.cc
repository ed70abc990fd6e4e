// What every implementation of Store does. Add an implementation to the list at the end.
#include "core/store/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "core/base/ids.h"
#include "core/store/postgres_store.h"
#include "core/store/sqlite_store.h"
#include "core/store/testing/postgres_server.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr absl::Duration kDeadline = absl::Seconds(30);

// A place where one implementation keeps its data between two openings.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual absl::StatusOr<std::unique_ptr<Store>> Open(absl::TimeZone zone, size_t max_queued,
                                                      const Clock* clock, Log* log) = 0;
};

class SqliteBackend final : public Backend {
 public:
  SqliteBackend() {
    std::string path = ::testing::TempDir() + "/store-XXXXXX";
    folder_ = mkdtemp(path.data());
  }
  ~SqliteBackend() override { std::filesystem::remove_all(folder_); }
  absl::StatusOr<std::unique_ptr<Store>> Open(absl::TimeZone zone, size_t max_queued,
                                              const Clock* clock, Log* log) override {
    SqliteStoreOptions options;
    options.path = folder_ + "/store.db";
    options.zone = zone;
    options.max_queued_records = max_queued;
    return OpenSqliteStore(options, clock, log);
  }

 private:
  std::string folder_;
};

class PostgresBackend final : public Backend {
 public:
  PostgresBackend() : address_(PostgresServer::Shared()->NewDatabase()) {}
  absl::StatusOr<std::unique_ptr<Store>> Open(absl::TimeZone zone, size_t max_queued,
                                              const Clock* clock, Log* log) override {
    PostgresStoreOptions options;
    options.address = address_;
    options.zone = zone;
    options.max_queued_records = max_queued;
    return OpenPostgresStore(options, clock, log);
  }

 private:
  const PostgresAddress address_;
};

using BackendFactory = std::unique_ptr<Backend> (*)();

class StoreTest : public ::testing::TestWithParam<BackendFactory> {
 protected:
  void SetUp() override {
    backend_ = GetParam()();
    Open();
  }

  void Open(size_t max_queued = 65'536) {
    store_.reset();
    auto opened = backend_->Open(zone_, max_queued, &clock_, &log_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = std::move(*opened);
  }

  std::vector<AppendResult> Append(std::vector<StoreRecord> records) {
    absl::Notification done;
    std::vector<AppendResult> out;
    store_->Append(std::move(records), [&](std::vector<AppendResult> results) {
      out = std::move(results);
      done.Notify();
    });
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kDeadline));
    return out;
  }
  AppendResult AppendOne(StoreRecord record) {
    std::vector<StoreRecord> records;
    records.push_back(std::move(record));
    std::vector<AppendResult> results = Append(std::move(records));
    return results.empty() ? AppendResult{absl::InternalError("no result"), false, ""}
                           : results.front();
  }

  DetectionRecord Detection(const std::string& message_id, const std::string& camera = "CAM001",
                            const std::string& checkpoint = "CP01") {
    DetectionRecord r;
    r.message_id = message_id;
    r.camera_id = camera;
    r.checkpoint_id = checkpoint;
    r.protocol = "rest";
    r.captured_at = clock_.Now();
    r.arrived_at = clock_.Now();
    r.key = MakeMessageKey(message_id, camera, r.captured_at);
    r.vehicles_count = 1;
    r.plates_count = 1;
    r.plates.push_back(PlateRead{"1AB2345", 0.93, R"({"text":"1AB2345"})", ""});
    r.payload_json = R"({"ocr_results":["1AB2345"]})";
    return r;
  }
  HealthRecord HealthReport(const std::string& message_id, const std::string& status) {
    HealthRecord r;
    r.message_id = message_id;
    r.camera_id = "CAM001";
    r.checkpoint_id = "CP01";
    r.protocol = "rest";
    r.captured_at = r.arrived_at = clock_.Now();
    r.key = MakeMessageKey(message_id, r.camera_id, r.captured_at);
    r.component = "camera";
    r.status = status;
    return r;
  }
  EventRecord Event(const std::string& id, const std::string& plate, double confidence) {
    EventRecord r;
    r.event_id = id;
    r.at = clock_.Now();
    r.captured_at = clock_.Now();
    r.device_id = "CAM001";
    r.license_plate = plate;
    r.confidence = confidence;
    return r;
  }
  std::vector<std::string> EventIds(const EventsQuery& query) {
    const absl::StatusOr<EventsPage> page = store_->ListEvents(query);
    EXPECT_TRUE(page.ok()) << page.status();
    std::vector<std::string> ids;
    if (page.ok()) {
      for (const EventRow& row : page->rows) ids.push_back(row.event_id);
    }
    return ids;
  }
  StoreStatistics Statistics() {
    const absl::StatusOr<StoreStatistics> statistics = store_->Statistics();
    EXPECT_TRUE(statistics.ok()) << statistics.status();
    return statistics.ok() ? *statistics : StoreStatistics();
  }

  FakeClock clock_;
  NullLog log_;
  absl::TimeZone zone_ = absl::UTCTimeZone();
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Store> store_;
};

TEST_P(StoreTest, KeepsADetectionAsItCame) {
  DetectionRecord sent = Detection("m-1");
  sent.plates.push_back(PlateRead{"กข 1234", std::nullopt, "{}", "a/b/plate.jpg"});
  sent.image_path = "a/b/detection.jpg";
  sent.plate_images = {"", "a/b/plate.jpg"};
  sent.note = "cropped_plates/0: not base64";
  sent.metadata_json = R"({"firmware":"1.2"})";
  const AppendResult result = AppendOne(sent);
  ASSERT_TRUE(result.status.ok()) << result.status;
  EXPECT_FALSE(result.duplicate);
  EXPECT_EQ(result.id, FormatKey(sent.key));

  const absl::StatusOr<RecordsPage> page = store_->ListRecords(RecordsQuery());
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_THAT(page->rows, SizeIs(1));
  EXPECT_EQ(page->total, 1);
  EXPECT_EQ(page->next_cursor, "");
  const DetectionRow& row = page->rows[0];
  EXPECT_EQ(row.detection_id, result.id);
  EXPECT_EQ(row.record.key, sent.key);
  EXPECT_EQ(row.record.message_id, "m-1");
  EXPECT_EQ(row.record.camera_id, "CAM001");
  EXPECT_EQ(row.record.checkpoint_id, "CP01");
  EXPECT_EQ(row.record.protocol, "rest");
  EXPECT_EQ(row.record.captured_at, sent.captured_at);
  EXPECT_EQ(row.record.vehicles_count, 1);
  EXPECT_EQ(row.record.image_path, "a/b/detection.jpg");
  EXPECT_THAT(row.record.plate_images, ElementsAre("", "a/b/plate.jpg"));
  EXPECT_EQ(row.record.note, sent.note);
  EXPECT_EQ(row.record.metadata_json, sent.metadata_json);
  EXPECT_EQ(row.record.payload_json, sent.payload_json);
  ASSERT_THAT(row.record.plates, SizeIs(2));
  EXPECT_EQ(row.record.plates[0].text, "1AB2345");
  EXPECT_EQ(row.record.plates[0].confidence, 0.93);
  EXPECT_EQ(row.record.plates[1].text, "กข 1234");
  EXPECT_EQ(row.record.plates[1].confidence, std::nullopt);
}

TEST_P(StoreTest, APageOfLargeRecordsEndsEarlyAndGoesOn) {
  for (const char* checkpoint : {"", "CP01"}) {
    Open();
    std::vector<std::string> sent;
    for (const size_t megabytes : {9, 17, 9, 9}) {
      DetectionRecord record = Detection(absl::StrCat(checkpoint, sent.size()));
      record.payload_json = absl::StrCat("{\"x\":\"", std::string(megabytes << 20, 'x'), "\"}");
      sent.insert(sent.begin(), AppendOne(record).id);
    }
    RecordsQuery query;
    query.checkpoint_id = checkpoint;
    std::vector<std::string> read;
    for (size_t pages = 0; pages < 4; ++pages) {
      const absl::StatusOr<RecordsPage> page = store_->ListRecords(query);
      ASSERT_TRUE(page.ok()) << page.status();
      ASSERT_THAT(page->rows, SizeIs(1)) << pages;
      read.push_back(page->rows[0].detection_id);
      query.cursor = page->next_cursor;
    }
    EXPECT_EQ(read, sent);
    EXPECT_EQ(query.cursor.empty(), *checkpoint == '\0');  // The second time there are eight.
  }
}

TEST_P(StoreTest, OneDetectionIsOneEventPerPlateOrOneWithout) {
  DetectionRecord two = Detection("two");
  two.plates.push_back(PlateRead{"9ZZ9999", 0.5, "{}", ""});
  DetectionRecord none = Detection("none");
  none.plates.clear();
  Append({two, none});
  EXPECT_THAT(EventIds(EventsQuery()),
              ElementsAre(FormatKey(none.key) + "-1", FormatKey(two.key) + "-2",
                          FormatKey(two.key) + "-1"));
  const auto event = store_->GetEvent(FormatKey(none.key) + "-1");
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_EQ(event->license_plate, "");
  EXPECT_EQ(event->detection_id, FormatKey(none.key));
}

// A decimal of thousands of digits is neither refused nor read back in full.
TEST_P(StoreTest, NumbersThatNoDoubleHoldsAreStoredAndStaySmall) {
  DetectionRecord sent = Detection("m-1");
  sent.plates[0].metadata_json = absl::StrCat(
      R"({"a":1e-20000,"b":-1e-16383,"c":1E+99999,"d":2.5e-1,"e":"1e-20000 \\\"-1\"","f":0.)",
      std::string(400, '3'), R"(,"g":[-12,9007199254740993]})");
  const AppendResult result = AppendOne(sent);
  ASSERT_TRUE(result.status.ok()) << result.status;
  const absl::StatusOr<RecordsPage> page = store_->ListRecords(RecordsQuery());
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_THAT(page->rows, SizeIs(1));
  ASSERT_THAT(page->rows[0].record.plates, SizeIs(1));
  const std::string& stored = page->rows[0].record.plates[0].metadata_json;
  EXPECT_LT(stored.size(), 1000u);
  EXPECT_THAT(stored, HasSubstr("9007199254740993"));
  EXPECT_THAT(stored, HasSubstr(R"("1e-20000 \\\"-1\"")"));
  EXPECT_TRUE(store_->ListEvents(EventsQuery()).ok());
}

TEST_P(StoreTest, ADuplicateChangesNothingAndHasTheFirstId) {
  const AppendResult first = AppendOne(Detection("m-1"));
  DetectionRecord again = Detection("m-1");
  again.payload_json = R"({"changed":true})";
  const AppendResult second = AppendOne(again);
  ASSERT_TRUE(second.status.ok()) << second.status;
  EXPECT_TRUE(second.duplicate);
  EXPECT_EQ(second.id, first.id);
  const auto page = store_->ListRecords(RecordsQuery());
  ASSERT_TRUE(page.ok());
  ASSERT_THAT(page->rows, SizeIs(1));
  EXPECT_EQ(page->rows[0].record.payload_json, Detection("m-1").payload_json);
  EXPECT_EQ(Statistics().total_detections, 1);
  EXPECT_THAT(EventIds(EventsQuery()), SizeIs(1));
}

TEST_P(StoreTest, ADuplicateInsideOneGroupIsSeen) {
  const std::vector<AppendResult> results =
      Append({Detection("m-1"), Detection("m-2"), Detection("m-1")});
  ASSERT_THAT(results, SizeIs(3));
  EXPECT_FALSE(results[0].duplicate);
  EXPECT_FALSE(results[1].duplicate);
  EXPECT_TRUE(results[2].duplicate);
  EXPECT_EQ(results[2].id, results[0].id);
  EXPECT_EQ(Statistics().total_detections, 2);
}

TEST_P(StoreTest, TwoCamerasMayCountTheirMessagesAlike) {
  EXPECT_FALSE(AppendOne(Detection("1", "CAM001")).duplicate);
  EXPECT_FALSE(AppendOne(Detection("1", "CAM002")).duplicate);
  EXPECT_EQ(Statistics().total_detections, 2);
}

TEST_P(StoreTest, ABadRecordFailsAloneAndItsNeighboursAreStored) {
  DetectionRecord bad = Detection("bad");
  bad.plates[0].confidence = 2;  // Outside 0..1: the database refuses it.
  const std::vector<AppendResult> results =
      Append({Detection("m-1"), bad, Detection("m-2", "CAM002")});
  ASSERT_THAT(results, SizeIs(3));
  EXPECT_TRUE(results[0].status.ok()) << results[0].status;
  EXPECT_EQ(results[1].status.code(), absl::StatusCode::kInvalidArgument) << results[1].status;
  EXPECT_TRUE(results[2].status.ok()) << results[2].status;
  const StoreStatistics statistics = Statistics();
  EXPECT_EQ(statistics.total_detections, 2);
  EXPECT_EQ(statistics.unique_cameras, 2);
  EXPECT_THAT(EventIds(EventsQuery()), SizeIs(2));  // Nothing half stored of the bad one.
  bad.plates[0].confidence = 1;
  EXPECT_FALSE(AppendOne(bad).duplicate);
}

TEST_P(StoreTest, CountsAndSurvivesReopening) {
  Append({Detection("m-1"), Detection("m-2"), Detection("m-3", "CAM002"),
          HealthReport("h-1", "healthy")});
  for (const bool reopened : {false, true}) {
    if (reopened) Open();
    const StoreStatistics statistics = Statistics();
    EXPECT_EQ(statistics.total_detections, 3) << reopened;
    EXPECT_EQ(statistics.today_detections, 3) << reopened;
    EXPECT_EQ(statistics.total_health_checks, 1) << reopened;
    EXPECT_EQ(statistics.today_health_checks, 1) << reopened;
    EXPECT_EQ(statistics.unique_cameras, 2) << reopened;
    EXPECT_EQ(statistics.total_cameras, 2) << reopened;
    EXPECT_EQ(statistics.active_cameras, 2) << reopened;
    EXPECT_EQ(statistics.blacklist_count, 0) << reopened;
    EXPECT_EQ(statistics.last_update, clock_.Now()) << reopened;
  }
  EXPECT_TRUE(AppendOne(Detection("m-1")).duplicate);
  EXPECT_FALSE(AppendOne(Detection("m-4")).duplicate);
}

TEST_P(StoreTest, TodayBeginsAtMidnightOfTheNodesZone) {
  zone_ = absl::FixedTimeZone(7 * 3600);
  Open();
  // 16:30 UTC is 23:30 in the zone.
  clock_.JumpWall(absl::FromCivil(absl::CivilMinute(2024, 3, 1, 16, 30), absl::UTCTimeZone()) -
                  clock_.Now());
  AppendOne(Detection("before"));
  EXPECT_EQ(Statistics().today_detections, 1);
  clock_.Advance(absl::Minutes(45));
  EXPECT_EQ(Statistics().today_detections, 0);
  AppendOne(Detection("after"));
  EXPECT_EQ(Statistics().today_detections, 1);
  EXPECT_EQ(Statistics().total_detections, 2);
}

TEST_P(StoreTest, ACameraWithAWrongClockDoesNotMoveToday) {
  DetectionRecord old = Detection("old");
  old.captured_at = absl::FromUnixSeconds(0);
  DetectionRecord future = Detection("future");
  future.captured_at = clock_.Now() + absl::Hours(24 * 3650);
  Append({old, future});
  EXPECT_EQ(Statistics().today_detections, 2);
  EXPECT_EQ(Statistics().last_update, clock_.Now());
}

TEST_P(StoreTest, ACameraIsActiveForSomeMinutes) {
  AppendOne(Detection("m-1"));
  EXPECT_EQ(Statistics().active_cameras, 1);
  clock_.Advance(absl::Minutes(6));
  EXPECT_EQ(Statistics().active_cameras, 0);
  EXPECT_EQ(Statistics().total_cameras, 1);
}

TEST_P(StoreTest, ListsRecordsOfOneCameraOrCheckpointNewestFirst) {
  for (int i = 0; i < 30; ++i) {
    const int camera = i % 3;
    AppendOne(Detection(absl::StrCat("m-", i), absl::StrCat("CAM", camera),
                        camera == 2 ? "CP-B" : "CP-A"));
  }
  RecordsQuery query;
  query.limit = 4;
  query.camera_id = "CAM1";
  auto page = store_->ListRecords(query);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->total, 10);
  ASSERT_THAT(page->rows, SizeIs(4));
  EXPECT_EQ(page->rows[0].record.message_id, "m-28");
  EXPECT_EQ(page->rows[3].record.message_id, "m-19");
  query.camera_id.clear();
  query.checkpoint_id = "CP-A";
  page = store_->ListRecords(query);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->total, 20);
  EXPECT_EQ(page->rows[0].record.message_id, "m-28");
  EXPECT_EQ(page->rows[1].record.message_id, "m-27");
  EXPECT_EQ(page->rows[2].record.message_id, "m-25");
  query.camera_id = "CAM2";
  page = store_->ListRecords(query);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->total, 0);
  EXPECT_THAT(page->rows, IsEmpty());
}

TEST_P(StoreTest, PagesOfRecordsMissNothingAndRepeatNothing) {
  for (int i = 0; i < 25; ++i) AppendOne(Detection(absl::StrCat("m-", i), "CAM1"));
  for (const char* camera : {"", "CAM1"}) {
    RecordsQuery query;
    query.limit = 10;
    query.camera_id = camera;
    std::vector<std::string> seen;
    do {
      const auto page = store_->ListRecords(query);
      ASSERT_TRUE(page.ok()) << page.status();
      for (const DetectionRow& row : page->rows) seen.push_back(row.record.message_id);
      query.cursor = page->next_cursor;
      ASSERT_LE(seen.size(), 25u);
    } while (!query.cursor.empty());
    ASSERT_THAT(seen, SizeIs(25));
    for (int i = 0; i < 25; ++i) EXPECT_EQ(seen[i], absl::StrCat("m-", 24 - i));
  }
}

TEST_P(StoreTest, RefusesACursorThatIsNone) {
  RecordsQuery records;
  records.cursor = "x";
  EXPECT_EQ(store_->ListRecords(records).status().code(), absl::StatusCode::kInvalidArgument);
  EventsQuery events;
  events.cursor = "1";
  EXPECT_EQ(store_->ListEvents(events).status().code(), absl::StatusCode::kInvalidArgument);
  CommunicationQuery communication;
  communication.cursor = "'; DROP TABLE lpr_events; --";
  EXPECT_EQ(store_->ListCommunication(communication).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_P(StoreTest, FiltersEvents) {
  Append({Event("e-1", "1AB2345", 0.9)});
  clock_.Advance(absl::Seconds(1));
  Append({Event("e-2", "2ab9999", 0.4)});
  clock_.Advance(absl::Seconds(1));
  EventRecord other = Event("e-3", "50%_X", 0.8);
  other.device_id = "CAM002";
  Append({other});

  EXPECT_THAT(EventIds(EventsQuery()), ElementsAre("e-3", "e-2", "e-1"));
  EventsQuery query;
  query.device_id = "CAM001";
  EXPECT_THAT(EventIds(query), ElementsAre("e-2", "e-1"));
  query.min_confidence = 0.5;
  EXPECT_THAT(EventIds(query), ElementsAre("e-1"));
  query = EventsQuery();
  query.plate = "AB";  // Substring, ASCII case ignored.
  EXPECT_THAT(EventIds(query), ElementsAre("e-2", "e-1"));
  query.plate = "%_";  // Not a pattern.
  EXPECT_THAT(EventIds(query), ElementsAre("e-3"));
  query = EventsQuery();
  query.from = clock_.Now() - absl::Seconds(1);
  query.to = clock_.Now();
  EXPECT_THAT(EventIds(query), ElementsAre("e-2"));
}

TEST_P(StoreTest, PagesOfEventsAreStableWhileNewOnesArrive) {
  for (int i = 0; i < 7; ++i) Append({Event(absl::StrCat("e-", i), "P", 0.5)});
  EventsQuery query;
  query.limit = 3;
  auto page = store_->ListEvents(query);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_THAT(page->rows, SizeIs(3));
  clock_.Advance(absl::Seconds(1));
  Append({Event("new", "P", 0.5)});
  query.cursor = page->next_cursor;
  EXPECT_THAT(EventIds(query), ElementsAre("e-3", "e-2", "e-1"));
}

TEST_P(StoreTest, ChangesAndDeletesAnEvent) {
  AppendOne(Event("e-1", "1AB2345", 0.9));
  EventRecord change;
  change.action = EventRecord::Action::kUpdate;
  change.event_id = "e-1";
  clock_.Advance(absl::Seconds(5));
  change.at = clock_.Now();
  change.license_plate = "7XY0000";
  change.metadata_json = R"({"checked":true})";
  EXPECT_TRUE(AppendOne(change).status.ok());
  auto event = store_->GetEvent("e-1");
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_EQ(event->license_plate, "7XY0000");
  EXPECT_EQ(event->confidence, 0.9);  // Not given: as it was.
  EXPECT_EQ(event->metadata_json, R"({"checked":true})");
  EXPECT_EQ(event->updated_at, clock_.Now());
  EXPECT_LT(event->created_at, event->updated_at);

  EventRecord removal;
  removal.action = EventRecord::Action::kDelete;
  removal.event_id = "e-1";
  EXPECT_TRUE(AppendOne(removal).status.ok());
  EXPECT_EQ(store_->GetEvent("e-1").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(AppendOne(removal).status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(AppendOne(change).status.code(), absl::StatusCode::kNotFound);
}

TEST_P(StoreTest, CreatingAnEventTwiceIsADuplicate) {
  EXPECT_FALSE(AppendOne(Event("e-1", "A", 0.1)).duplicate);
  EXPECT_TRUE(AppendOne(Event("e-1", "B", 0.2)).duplicate);
  EXPECT_EQ(store_->GetEvent("e-1")->license_plate, "A");
}

TEST_P(StoreTest, ACameraIsOneDeviceHoweverItIsKnown) {
  DeviceRecord registration;
  registration.device_id = "CAM001";
  registration.at = clock_.Now();
  registration.registers = true;
  registration.checkpoint_id = "CP01";
  registration.ip_address = "10.0.0.7";
  registration.latitude = 13.75;
  EXPECT_TRUE(AppendOne(registration).status.ok());
  AppendOne(Detection("m-1"));
  AppendOne(HealthReport("h-1", "warning"));
  const auto page = store_->ListDevices(10, "");
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_THAT(page->rows, SizeIs(1));
  const DeviceRow& device = page->rows[0];
  EXPECT_EQ(page->total, 1);
  EXPECT_EQ(device.device_id, "CAM001");
  EXPECT_EQ(device.checkpoint_id, "CP01");
  EXPECT_EQ(device.ip_address, "10.0.0.7");
  EXPECT_EQ(device.latitude, 13.75);
  EXPECT_EQ(device.longitude, std::nullopt);
  EXPECT_EQ(device.registered_at, clock_.Now());
  EXPECT_EQ(device.detection_count, 1);
  EXPECT_EQ(device.health_status, "warning");
  EXPECT_EQ(device.status, "online");
}

TEST_P(StoreTest, ChangesOnlyWhatIsGivenOfADevice) {
  DeviceRecord create;
  create.device_id = "CAM001";
  create.at = clock_.Now();
  create.hostname = "edge-1";
  AppendOne(create);
  DeviceRecord change;
  change.mode = DeviceRecord::Mode::kUpdate;
  change.device_id = "CAM001";
  change.at = clock_.Now();
  change.status = "maintenance";
  EXPECT_TRUE(AppendOne(change).status.ok());
  AppendOne(Detection("m-1"));  // Data does not end a maintenance.
  const auto device = store_->GetDevice("CAM001");
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_EQ(device->hostname, "edge-1");
  EXPECT_EQ(device->status, "maintenance");
  change.device_id = "nobody";
  EXPECT_EQ(AppendOne(change).status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->GetDevice("nobody").status().code(), absl::StatusCode::kNotFound);
}

TEST_P(StoreTest, ADeviceThatWasSeenLaterStaysOnline) {
  ASSERT_TRUE(AppendOne(Detection("m-1")).status.ok());
  const absl::Time first = clock_.Now();
  clock_.Advance(absl::Seconds(10));
  ASSERT_TRUE(AppendOne(Detection("m-2")).status.ok());
  DeviceRecord gone;
  gone.mode = DeviceRecord::Mode::kUpdate;
  gone.device_id = "CAM001";
  gone.at = clock_.Now();
  gone.seen = false;
  gone.status = "offline";
  gone.silent_since = first;
  ASSERT_TRUE(AppendOne(gone).status.ok());
  EXPECT_EQ(store_->GetDevice("CAM001")->status, "online");
  gone.silent_since = clock_.Now();
  ASSERT_TRUE(AppendOne(gone).status.ok());
  EXPECT_EQ(store_->GetDevice("CAM001")->status, "offline");
}

TEST_P(StoreTest, ADeviceThatSpeaksIsOfflineNoLonger) {
  ASSERT_TRUE(AppendOne(Detection("m-1")).status.ok());
  DeviceRecord record;
  record.mode = DeviceRecord::Mode::kUpdate;
  record.device_id = "CAM001";
  record.at = clock_.Now();
  record.seen = false;
  record.status = "offline";
  ASSERT_TRUE(AppendOne(record).status.ok());
  record.status.reset();
  record.name = "Gate 1";
  ASSERT_TRUE(AppendOne(record).status.ok());
  EXPECT_EQ(store_->GetDevice("CAM001")->status, "offline") << "an edit is no sign of life";
  record.seen = true;
  ASSERT_TRUE(AppendOne(record).status.ok());
  EXPECT_EQ(store_->GetDevice("CAM001")->status, "online");
  record.status = "maintenance";
  ASSERT_TRUE(AppendOne(record).status.ok());
  record.status.reset();
  ASSERT_TRUE(AppendOne(record).status.ok());
  EXPECT_EQ(store_->GetDevice("CAM001")->status, "maintenance");
}

TEST_P(StoreTest, PagesOfDevices) {
  for (const char* id : {"c", "a", "b"}) AppendOne(Detection("m", id));
  auto page = store_->ListDevices(2, "");
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_THAT(page->rows, SizeIs(2));
  EXPECT_EQ(page->rows[0].device_id, "a");
  EXPECT_EQ(page->next_cursor, "b");
  page = store_->ListDevices(2, page->next_cursor);
  ASSERT_THAT(page->rows, SizeIs(1));
  EXPECT_EQ(page->rows[0].device_id, "c");
  EXPECT_EQ(page->next_cursor, "");
}

TEST_P(StoreTest, FiltersTheCommunicationLog) {
  for (int i = 0; i < 6; ++i) {
    CommunicationRecord r;
    r.protocol = i % 2 == 0 ? "rest" : "mqtt";
    r.source = absl::StrCat("s", i);
    r.message_type = "detection";
    r.success = i != 4;
    r.error_message = i == 4 ? "disk full" : "";
    r.latency_ms = i;
    r.at = clock_.Now();
    AppendOne(r);
    clock_.Advance(absl::Seconds(1));
  }
  const auto sources = [this](const CommunicationQuery& query) {
    std::vector<std::string> out;
    const auto page = store_->ListCommunication(query);
    EXPECT_TRUE(page.ok()) << page.status();
    for (const auto& row : page->rows) out.push_back(row.source);
    return out;
  };
  CommunicationQuery query;
  EXPECT_THAT(sources(query), ElementsAre("s5", "s4", "s3", "s2", "s1", "s0"));
  query.protocol = "rest";
  EXPECT_THAT(sources(query), ElementsAre("s4", "s2", "s0"));
  query.success = false;
  EXPECT_THAT(sources(query), ElementsAre("s4"));
  query = CommunicationQuery();
  query.from = clock_.Now() - absl::Seconds(3);
  query.limit = 2;
  EXPECT_THAT(sources(query), ElementsAre("s5", "s4"));
  const auto page = store_->ListCommunication(query);
  query.cursor = page->next_cursor;
  EXPECT_THAT(sources(query), ElementsAre("s3"));
}

TEST_P(StoreTest, KeepsOtherMessagesOnce) {
  MessageRecord r;
  r.message_id = "c-1";
  r.camera_id = "CAM001";
  r.data_type = "config";
  r.protocol = "rest";
  r.captured_at = r.arrived_at = clock_.Now();
  r.key = MakeMessageKey(r.message_id, r.camera_id, r.captured_at);
  EXPECT_FALSE(AppendOne(r).duplicate);
  EXPECT_TRUE(AppendOne(r).duplicate);
}

TEST_P(StoreTest, ADetectionOfAListedPlateIsTold) {
  BlacklistRecord listed;
  listed.license_plate = "1ab-23 45";
  listed.reason = "stolen";
  listed.at = clock_.Now();
  // Listed in the same group as it is seen, and before.
  std::vector<AppendResult> results = Append({listed, Detection("m-1"), Detection("m-1")});
  ASSERT_THAT(results, SizeIs(3));
  EXPECT_EQ(results[0].id, "1AB2345");
  EXPECT_FALSE(results[0].duplicate);
  ASSERT_THAT(results[1].alerts, SizeIs(1));
  EXPECT_EQ(results[1].alerts[0].plate, "1AB2345");
  EXPECT_EQ(results[1].alerts[0].reason, "stolen");
  EXPECT_THAT(results[2].alerts, IsEmpty());  // A duplicate.
  DetectionRecord other = Detection("m-2");
  other.plates[0].text = "9ZZ9999";
  EXPECT_THAT(AppendOne(other).alerts, IsEmpty());
  Open();
  EXPECT_THAT(AppendOne(Detection("m-3")).alerts, SizeIs(1));
  listed.action = BlacklistRecord::Action::kRemove;
  EXPECT_TRUE(AppendOne(listed).status.ok());
  EXPECT_THAT(AppendOne(Detection("m-4")).alerts, IsEmpty());
  EXPECT_EQ(AppendOne(listed).status.code(), absl::StatusCode::kNotFound);
}

TEST_P(StoreTest, PagesOfTheBlacklist) {
  for (const char* plate : {"c", "A", "b"}) {
    BlacklistRecord listed;
    listed.license_plate = plate;
    listed.reason = plate;
    listed.at = clock_.Now();
    EXPECT_FALSE(AppendOne(listed).duplicate);
    EXPECT_TRUE(AppendOne(listed).duplicate);
  }
  auto page = store_->ListBlacklist(2, "");
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_THAT(page->rows, SizeIs(2));
  EXPECT_EQ(page->total, 3);
  EXPECT_EQ(page->rows[0].license_plate, "A");
  EXPECT_EQ(page->rows[1].license_plate, "B");
  EXPECT_EQ(page->rows[1].reason, "b");
  EXPECT_EQ(page->rows[1].created_at, clock_.Now());
  page = store_->ListBlacklist(2, page->next_cursor);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_THAT(page->rows, SizeIs(1));
  EXPECT_EQ(page->next_cursor, "");
  EXPECT_EQ(Statistics().blacklist_count, 3);
}

TEST_P(StoreTest, KnowsWhatIsCommitted) {
  const DetectionRecord r = Detection("m-1");
  EXPECT_FALSE(*store_->HasDetection(r.key));
  AppendOne(r);
  EXPECT_TRUE(*store_->HasDetection(r.key));
}

TEST_P(StoreTest, AnswersAnEmptyAppendAtOnce) { EXPECT_THAT(Append({}), IsEmpty()); }

TEST_P(StoreTest, RefusesMoreThanItTakesAtOnce) {
  std::vector<StoreRecord> records(kMaxAppendRecords + 1, CommunicationRecord());
  const std::vector<AppendResult> results = Append(std::move(records));
  ASSERT_THAT(results, SizeIs(kMaxAppendRecords + 1));
  EXPECT_EQ(results[0].status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(results[0].status.message(), HasSubstr("too many records at once"));
}

TEST_P(StoreTest, RefusesWhenItsQueueIsFull) {
  Open(/*max_queued=*/10);
  absl::Notification hold;
  absl::Notification held;
  // The writer is kept inside the answer of the first.
  store_->Append({StoreRecord(Detection("first"))}, [&](std::vector<AppendResult>) {
    held.Notify();
    hold.WaitForNotification();
  });
  ASSERT_TRUE(held.WaitForNotificationWithTimeout(kDeadline));
  absl::BlockingCounter answered(2);
  std::vector<absl::Status> statuses(2);
  for (int i = 0; i < 2; ++i) {
    std::vector<StoreRecord> records;
    for (int n = 0; n < 8; ++n) records.emplace_back(Detection(absl::StrCat(i, "-", n)));
    store_->Append(std::move(records), [&, i](std::vector<AppendResult> results) {
      statuses[static_cast<size_t>(i)] = results.back().status;
      answered.DecrementCount();
    });
  }
  hold.Notify();
  answered.Wait();
  EXPECT_TRUE(statuses[0].ok()) << statuses[0];
  EXPECT_EQ(statuses[1].code(), absl::StatusCode::kUnavailable) << statuses[1];
  EXPECT_THAT(statuses[1].message(), HasSubstr("busy"));
}

TEST_P(StoreTest, ManyThreadsWriteAndReadAtOnce) {
  constexpr int kThreads = 4;
  constexpr int kEach = 100;
  absl::BlockingCounter answered(kThreads * kEach);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        std::vector<StoreRecord> records;
        records.emplace_back(Detection(absl::StrCat(t, "-", i), absl::StrCat("CAM", t)));
        store_->Append(std::move(records), [&](std::vector<AppendResult> results) {
          EXPECT_TRUE(results[0].status.ok()) << results[0].status;
          answered.DecrementCount();
        });
        if (i % 10 == 0) {
          EXPECT_TRUE(store_->ListRecords(RecordsQuery()).ok());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  answered.Wait();
  EXPECT_EQ(Statistics().total_detections, kThreads * kEach);
  RecordsQuery query;
  query.camera_id = "CAM2";
  query.limit = kEach;
  EXPECT_THAT(store_->ListRecords(query)->rows, SizeIs(kEach));
  const StoreHealth health = store_->Health();
  EXPECT_EQ(health.state, StoreHealth::State::kOk);
  EXPECT_EQ(health.committed_records, kThreads * kEach);
  EXPECT_EQ(health.queued_records, 0);
}

TEST_P(StoreTest, WritesWhatWaitsBeforeItCloses) {
  std::atomic<int> answered{0};
  for (int i = 0; i < 50; ++i) {
    std::vector<StoreRecord> records;
    records.emplace_back(Detection(absl::StrCat("m-", i)));
    store_->Append(std::move(records), [&](std::vector<AppendResult> results) {
      answered += results[0].status.ok() ? 1 : 0;
    });
  }
  store_.reset();
  EXPECT_EQ(answered, 50);
  Open();
  EXPECT_EQ(Statistics().total_detections, 50);
}

template <typename T>
std::unique_ptr<Backend> Make() {
  return std::make_unique<T>();
}

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreTest, ::testing::Values(&Make<SqliteBackend>),
                         [](const auto&) { return "Sqlite"; });
INSTANTIATE_TEST_SUITE_P(Postgres, StoreTest, ::testing::Values(&Make<PostgresBackend>),
                         [](const auto&) { return "Postgres"; });

}  // namespace
}  // namespace viaduct
