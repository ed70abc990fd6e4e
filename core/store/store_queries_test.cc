// What every implementation of Store has to show: lists and their pages, filters, changes of rows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/store/store.h"
#include "core/store/testing/store_fixture.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

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

TEST_P(StoreTest, WhoIsSilentIsListedAndEndsOnce) {
  for (const char* camera : {"CAM001", "CAM002", "CAM003"}) {
    ASSERT_TRUE(AppendOne(Detection("m-1", camera)).status.ok());
  }
  const absl::Time heard = clock_.Now();
  clock_.Advance(absl::Seconds(10));
  ASSERT_TRUE(AppendOne(Detection("m-2", "CAM002")).status.ok());
  EXPECT_THAT(*store_->ListSilent(heard, 10, 0), IsEmpty()) << "seen then";
  const absl::Time since = clock_.Now();
  auto page = store_->ListSilent(since, 1, 0);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_THAT(*page, SizeIs(1));
  const SilentDevice first = page->front();
  EXPECT_EQ(first.device_id, "CAM001");
  EXPECT_EQ(first.checkpoint_id, "CP01");
  EXPECT_EQ(first.last_seen, heard);
  page = store_->ListSilent(since, 10, first.number);
  ASSERT_THAT(*page, SizeIs(1));
  EXPECT_EQ(page->front().device_id, "CAM003");
  DeviceRecord silent;
  silent.mode = DeviceRecord::Mode::kSilent;
  silent.device_id = "CAM001";
  silent.at = clock_.Now();
  silent.silent_since = heard;
  EXPECT_FALSE(AppendOne(silent).duplicate);
  EXPECT_EQ(store_->GetDevice("CAM001")->status, "offline");
  EXPECT_EQ(store_->GetDevice("CAM001")->last_seen, heard);
  EXPECT_TRUE(AppendOne(silent).duplicate) << "it is known";
  silent.device_id = "CAM002";
  EXPECT_TRUE(AppendOne(silent).duplicate) << "it was seen later";
  EXPECT_EQ(store_->GetDevice("CAM002")->status, "online");
  silent.device_id = "nobody";
  EXPECT_TRUE(AppendOne(silent).duplicate);
  EXPECT_THAT(*store_->ListSilent(since, 10, 0), SizeIs(1));
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

}  // namespace
}  // namespace viaduct
