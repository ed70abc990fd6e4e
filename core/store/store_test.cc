// What every implementation of Store does with what is written. Add an implementation to the list
// at the end.
#include "core/store/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "core/store/testing/store_fixture.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

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

TEST_P(StoreTest, KnowsWhatIsCommitted) {
  const DetectionRecord r = Detection("m-1");
  EXPECT_FALSE(*store_->HasDetection(r.key));
  AppendOne(r);
  EXPECT_TRUE(*store_->HasDetection(r.key));
}

TEST_P(StoreTest, AnAppendOfNothingIsAnsweredAfterWhatNobodyWaitedFor) {
  CommunicationRecord line;
  line.protocol = "rest";
  line.at = clock_.Now();
  store_->Append({line}, nullptr);
  EXPECT_THAT(Append({}), IsEmpty());
  const absl::StatusOr<CommunicationPage> page = store_->ListCommunication(CommunicationQuery());
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_THAT(page->rows, SizeIs(1));
}

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
