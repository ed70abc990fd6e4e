// What every implementation of Store does with files that devices send beside their messages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "core/base/ids.h"
#include "core/store/testing/store_fixture.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = FileTransferRecord::Kind;

constexpr char kDetection[] = "01234567-89ab-7def-8123-456789abcdef";

std::string DigestText(char c) { return std::string(64, c); }

FileTransferRecord Announced(const std::string& id, Kind kind, int32_t place = 0,
                             const std::string& message_id = kDetection) {
  FileTransferRecord r;
  r.transfer_id = id;
  r.sha256 = DigestText('a');
  r.at = r.captured_at = absl::FromUnixSeconds(1'700'000'000);
  r.device_id = "CAM001";
  r.node_id = "EDGE1";
  r.message_id = message_id;
  if (!message_id.empty()) r.message_key = MakeMessageKey(message_id, "CAM001", r.captured_at);
  r.kind = kind;
  r.place = place;
  r.name = "CAM001/2023/11/14/a b.jpg";
  r.size = 150'000;
  return r;
}

FileTransferRecord Stored(const std::string& id, const std::string& path) {
  FileTransferRecord r;
  r.action = FileTransferRecord::Action::kSettle;
  r.transfer_id = id;
  r.sha256 = DigestText('a');
  r.at = absl::FromUnixSeconds(1'700'000'100);
  r.state = FileState::kStored;
  r.path = path;
  return r;
}

FileTransferRecord Failed(const std::string& id, const std::string& why) {
  FileTransferRecord r = Stored(id, "");
  r.state = FileState::kFailed;
  r.detail = why;
  return r;
}

std::string IdOf(int n) { return absl::StrCat("00000000-0000-7000-8000-00000000000", n); }

class StoreFilesTest : public StoreTest {
 protected:
  // Three plates, of which the second has no text: the third one's image is the third.
  DetectionRecord WithPlates() {
    DetectionRecord r = Detection(kDetection);
    r.plates.clear();
    r.plates.push_back(PlateRead{"1AB2345", 0.9, "{}", "", 0});
    r.plates.push_back(PlateRead{"2CD6789", 0.8, "{}", "", 2});
    r.plates_count = 3;
    return r;
  }
  DetectionRow OnlyDetection() {
    const auto page = store_->ListRecords(RecordsQuery());
    EXPECT_TRUE(page.ok()) << page.status();
    EXPECT_THAT(page->rows, SizeIs(1));
    return page->rows.empty() ? DetectionRow() : page->rows[0];
  }
  // Of the events, in the order of their numbers.
  std::vector<std::string> EventImages() {
    std::vector<std::string> images;
    for (int n = 1; n <= 3; ++n) {
      const auto event = store_->GetEvent(absl::StrCat(kDetection, "-", n));
      if (event.ok()) images.push_back(event->image_path);
    }
    return images;
  }
  void Announce(const FileTransferRecord& record) {
    const AppendResult result = AppendOne(record);
    ASSERT_TRUE(result.status.ok()) << result.status;
    EXPECT_EQ(result.id, record.transfer_id);
  }
  void Settle(const FileTransferRecord& record) {
    const AppendResult result = AppendOne(record);
    ASSERT_TRUE(result.status.ok()) << result.status;
    EXPECT_FALSE(result.duplicate);
  }
  FileTransferRow Get(const std::string& id) {
    const auto row = store_->GetFileTransfer(id);
    EXPECT_TRUE(row.ok()) << row.status();
    return row.ok() ? *row : FileTransferRow();
  }
};

TEST_P(StoreFilesTest, KeepsAnAnnouncementAsItCame) {
  const FileTransferRecord sent = Announced(IdOf(1), Kind::kPlate, 2);
  Announce(sent);
  const FileTransferRow row = Get(IdOf(1));
  EXPECT_EQ(row.record.device_id, "CAM001");
  EXPECT_EQ(row.record.node_id, "EDGE1");
  EXPECT_EQ(row.record.message_id, kDetection);
  EXPECT_EQ(row.record.message_key, sent.message_key);
  EXPECT_EQ(row.record.kind, Kind::kPlate);
  EXPECT_EQ(row.record.place, 2);
  EXPECT_EQ(row.record.name, sent.name);
  EXPECT_EQ(row.record.size, 150'000u);
  EXPECT_EQ(row.record.sha256, sent.sha256);
  EXPECT_EQ(row.record.state, FileState::kWaiting);
  EXPECT_EQ(row.record.captured_at, sent.captured_at);
  EXPECT_EQ(row.announced_at, sent.at);
  EXPECT_EQ(row.settled_at, absl::InfinitePast());
  EXPECT_TRUE(store_->GetDevice("CAM001").ok());
  EXPECT_EQ(store_->GetFileTransfer(IdOf(2)).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(StoreFilesTest, AFileThatIsStoredStaysSo) {
  Announce(Announced(IdOf(1), Kind::kFile, 0, ""));
  Settle(Stored(IdOf(1), "files/x"));
  for (const FileTransferRecord& later :
       {Failed(IdOf(1), "gone"), Announced(IdOf(1), Kind::kFile, 0, "")}) {
    const AppendResult result = AppendOne(later);
    EXPECT_TRUE(result.status.ok()) << result.status;
    EXPECT_TRUE(result.duplicate);
  }
  const FileTransferRow row = Get(IdOf(1));
  EXPECT_EQ(row.record.state, FileState::kStored);
  EXPECT_EQ(row.record.path, "files/x");
  EXPECT_EQ(row.settled_at, absl::FromUnixSeconds(1'700'000'100));
}

TEST_P(StoreFilesTest, AFailedFileWaitsAgainForWhatIsAnnouncedThen) {
  Announce(Announced(IdOf(1), Kind::kImage));
  Settle(Failed(IdOf(1), "sha256: another"));
  EXPECT_EQ(Get(IdOf(1)).record.state, FileState::kFailed);
  EXPECT_EQ(Get(IdOf(1)).record.detail, "sha256: another");
  FileTransferRecord again = Announced(IdOf(1), Kind::kImage);
  again.sha256 = DigestText('b');
  again.size = 7;
  EXPECT_TRUE(AppendOne(again).duplicate);
  FileTransferRow row = Get(IdOf(1));
  EXPECT_EQ(row.record.state, FileState::kWaiting);
  EXPECT_EQ(row.record.detail, "");
  EXPECT_EQ(row.record.size, 7u);
  // What was found out about the file that was announced before is of no use.
  const AppendResult late = AppendOne(Stored(IdOf(1), "a.jpg"));
  EXPECT_EQ(late.status.code(), absl::StatusCode::kNotFound) << late.status;
  row = Get(IdOf(1));
  EXPECT_EQ(row.record.state, FileState::kWaiting);
  EXPECT_EQ(row.record.sha256, DigestText('b'));
}

TEST_P(StoreFilesTest, NoDeviceTakesTheTransferOfAnother) {
  Announce(Announced(IdOf(1), Kind::kImage));
  FileTransferRecord other = Announced(IdOf(1), Kind::kImage);
  other.device_id = "CAM666";
  other.name = "CAM666/a.jpg";
  const AppendResult refused = AppendOne(other);
  EXPECT_EQ(refused.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status.message()), HasSubstr("another device"));
  EXPECT_EQ(Get(IdOf(1)).record.device_id, "CAM001");
  EXPECT_EQ(AppendOne(Stored(IdOf(2), "a.jpg")).status.code(), absl::StatusCode::kNotFound);
}

TEST_P(StoreFilesTest, FilesThatComeAfterTheirDetectionBecomeItsImages) {
  ASSERT_TRUE(AppendOne(WithPlates()).status.ok());
  Announce(Announced(IdOf(1), Kind::kImage));
  Announce(Announced(IdOf(2), Kind::kPlate, 0));
  Announce(Announced(IdOf(3), Kind::kPlate, 1));
  Announce(Announced(IdOf(4), Kind::kPlate, 2));
  EXPECT_THAT(EventImages(), ElementsAre("", ""));
  Settle(Stored(IdOf(4), "p2.jpg"));
  Settle(Stored(IdOf(1), "all.jpg"));
  EXPECT_THAT(EventImages(), ElementsAre("all.jpg", "p2.jpg"));
  Settle(Stored(IdOf(3), "p1.jpg"));
  Settle(Stored(IdOf(2), "p0.jpg"));
  EXPECT_THAT(EventImages(), ElementsAre("p0.jpg", "p2.jpg"));
  const DetectionRow row = OnlyDetection();
  EXPECT_EQ(row.record.image_path, "all.jpg");
  EXPECT_THAT(row.record.plate_images, ElementsAre("p0.jpg", "p1.jpg", "p2.jpg"));
}

TEST_P(StoreFilesTest, FilesThatComeBeforeTheirDetectionBecomeItsImages) {
  Announce(Announced(IdOf(1), Kind::kImage));
  Announce(Announced(IdOf(3), Kind::kPlate, 1));
  Announce(Announced(IdOf(4), Kind::kPlate, 2));
  Announce(Announced(IdOf(5), Kind::kFile));
  for (const int n : {4, 1, 3, 5}) Settle(Stored(IdOf(n), absl::StrCat(n, ".jpg")));
  ASSERT_TRUE(AppendOne(WithPlates()).status.ok());
  const DetectionRow row = OnlyDetection();
  EXPECT_EQ(row.record.image_path, "1.jpg");
  EXPECT_THAT(row.record.plate_images, ElementsAre("", "3.jpg", "4.jpg"));
  EXPECT_THAT(EventImages(), ElementsAre("1.jpg", "4.jpg"));
}

// All in one transaction.
TEST_P(StoreFilesTest, FilesAndDetectionOfOneGroupAreJoined) {
  std::vector<StoreRecord> records;
  records.emplace_back(Announced(IdOf(1), Kind::kImage));
  records.emplace_back(Announced(IdOf(2), Kind::kPlate, 0));
  records.emplace_back(Stored(IdOf(1), "1.jpg"));
  records.emplace_back(WithPlates());
  records.emplace_back(Stored(IdOf(2), "2.jpg"));
  for (const AppendResult& result : Append(std::move(records))) {
    EXPECT_TRUE(result.status.ok()) << result.status;
    EXPECT_FALSE(result.duplicate);
  }
  EXPECT_EQ(OnlyDetection().record.image_path, "1.jpg");
  EXPECT_THAT(EventImages(), ElementsAre("2.jpg", "1.jpg"));
}

TEST_P(StoreFilesTest, NoFileReplacesAnImageThatIsThere) {
  DetectionRecord detection = WithPlates();
  detection.image_path = "sent.jpg";
  detection.plate_images = {"sent0.jpg"};
  detection.plates[0].image_path = "sent0.jpg";
  ASSERT_TRUE(AppendOne(detection).status.ok());
  Announce(Announced(IdOf(1), Kind::kImage));
  Announce(Announced(IdOf(2), Kind::kPlate, 0));
  Settle(Stored(IdOf(1), "1.jpg"));
  Settle(Stored(IdOf(2), "2.jpg"));
  const DetectionRow row = OnlyDetection();
  EXPECT_EQ(row.record.image_path, "sent.jpg");
  EXPECT_THAT(row.record.plate_images, ElementsAre("sent0.jpg"));
  EXPECT_THAT(EventImages(), ElementsAre("sent0.jpg", "sent.jpg"));
}

TEST_P(StoreFilesTest, AnEventSaysThatItsImageIsAwaited) {
  const auto pending = [this] {
    std::string all;
    const auto page = store_->ListEvents(EventsQuery());
    EXPECT_TRUE(page.ok()) << page.status();
    for (const EventRow& event : page->rows) {
      all += event.image_pending ? '1' : '0';
      EXPECT_EQ(store_->GetEvent(event.event_id)->image_pending, event.image_pending);
    }
    return all;
  };
  EXPECT_TRUE(AppendOne(WithPlates()).status.ok());
  EXPECT_EQ(pending(), "00");
  Announce(Announced(IdOf(1), Kind::kFile));
  EXPECT_EQ(pending(), "00");
  Announce(Announced(IdOf(2), Kind::kPlate, 0));
  EXPECT_EQ(pending(), "11");  // Which of them it is for, the announcement of another may change.
  Settle(Stored(IdOf(2), "images/1.jpg"));
  EXPECT_EQ(pending(), "00");
  Announce(Announced(IdOf(3), Kind::kImage));
  const std::string one = pending();  // Only of the event that has none.
  EXPECT_EQ(std::count(one.begin(), one.end(), '1'), 1);
  Settle(Failed(IdOf(3), "sha256: another"));
  EXPECT_EQ(pending(), "00");
}

TEST_P(StoreFilesTest, AFailedFileIsNoImage) {
  Announce(Announced(IdOf(1), Kind::kImage));
  Settle(Failed(IdOf(1), "not an image"));
  ASSERT_TRUE(AppendOne(WithPlates()).status.ok());
  EXPECT_EQ(OnlyDetection().record.image_path, "");
}

TEST_P(StoreFilesTest, FilesAreListedByNumberStateAndDevice) {
  for (int n = 1; n <= 5; ++n) Announce(Announced(IdOf(n), Kind::kFile, 0, ""));
  FileTransferRecord other = Announced(IdOf(6), Kind::kFile, 0, "");
  other.device_id = "CAM002";
  other.name = "CAM002/x";
  Announce(other);
  Settle(Stored(IdOf(2), ""));
  Settle(Failed(IdOf(3), "no"));
  const auto ids = [this](const FileTransfersQuery& query) {
    std::vector<std::string> out;
    const auto rows = store_->ListFileTransfers(query);
    EXPECT_TRUE(rows.ok()) << rows.status();
    if (!rows.ok()) return out;
    for (const FileTransferRow& row : *rows) out.push_back(row.record.transfer_id);
    return out;
  };
  FileTransfersQuery query;
  query.state = FileState::kWaiting;
  query.limit = 2;
  EXPECT_THAT(ids(query), ElementsAre(IdOf(1), IdOf(4)));
  query.after = Get(IdOf(4)).number;
  EXPECT_THAT(ids(query), ElementsAre(IdOf(5), IdOf(6)));
  query.device_id = "CAM002";
  EXPECT_THAT(ids(query), ElementsAre(IdOf(6)));
  query = FileTransfersQuery();
  query.state = FileState::kStored;
  EXPECT_THAT(ids(query), ElementsAre(IdOf(2)));
  query.state = FileState::kFailed;
  EXPECT_THAT(ids(query), ElementsAre(IdOf(3)));
  query.after = 1'000'000;
  EXPECT_THAT(ids(query), IsEmpty());
  Open();
  query = FileTransfersQuery();
  EXPECT_THAT(ids(query), SizeIs(6));
}

template <typename T>
std::unique_ptr<Backend> Make() {
  return std::make_unique<T>();
}

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreFilesTest, ::testing::Values(&Make<SqliteBackend>),
                         [](const auto&) { return "Sqlite"; });
INSTANTIATE_TEST_SUITE_P(Postgres, StoreFilesTest, ::testing::Values(&Make<PostgresBackend>),
                         [](const auto&) { return "Postgres"; });

// One node stores detections while another settles their files: neither sees what the other has not
// committed, and still no pair is missed.
TEST(PostgresFilesTest, TwoNodesMissNoPair) {
  constexpr int kPairs = 300;
  const PostgresAddress address = PostgresServer::Shared()->NewDatabase();
  FakeClock clock;
  NullLog log;
  std::vector<std::unique_ptr<Store>> stores;
  for (const char* node : {"one", "two"}) {
    PostgresStoreOptions options;
    options.address = address;
    options.node_id = node;
    auto store = OpenPostgresStore(options, &clock, &log);
    ASSERT_TRUE(store.ok()) << store.status();
    stores.push_back(std::move(*store));
  }
  absl::BlockingCounter told(kPairs);
  for (int i = 0; i < kPairs; ++i) {
    std::vector<StoreRecord> records;
    records.emplace_back(Announced(NewUuid(clock.Now()), Kind::kImage, 0, NewUuid(clock.Now())));
    auto& announced = std::get<FileTransferRecord>(records[0]);
    const std::string transfer = announced.transfer_id;
    DetectionRecord detection;
    detection.message_id = announced.message_id;
    detection.key = announced.message_key;
    detection.camera_id = "CAM001";
    detection.protocol = "rest";
    detection.captured_at = detection.arrived_at = clock.Now();
    stores[1]->Append(std::move(records), [&, transfer, detection](const auto&) {
      std::vector<StoreRecord> file;
      file.emplace_back(Stored(transfer, "x.jpg"));
      std::vector<StoreRecord> message;
      message.emplace_back(detection);
      stores[0]->Append(std::move(message), [](const auto&) {});
      stores[1]->Append(std::move(file), [&](const auto&) { told.DecrementCount(); });
    });
  }
  told.Wait();
  stores.clear();  // All is written.
  PgConnection::Options options;
  options.address = address;
  auto db = PgConnection::Open(options);
  ASSERT_TRUE(db.ok());
  EXPECT_EQ((*db)->QueryInt("SELECT count(*) FROM detections").value_or(-1), kPairs);
  EXPECT_EQ(
      (*db)->QueryInt("SELECT count(*) FROM detections WHERE image_path = 'x.jpg'").value_or(-1),
      kPairs);
  EXPECT_EQ(
      (*db)->QueryInt("SELECT count(*) FROM lpr_events WHERE image_path = 'x.jpg'").value_or(-1),
      kPairs);
}

}  // namespace
}  // namespace viaduct
