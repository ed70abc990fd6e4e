// What only a file can do: be of another version, locked, full, broken.
#include "core/store/sqlite_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/store/faulty_vfs.h"
#include "core/store/sqlite_db.h"
#include "core/store/sqlite_schema.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr absl::Duration kDeadline = absl::Seconds(30);

class SqliteStoreTest : public ::testing::Test {
 protected:
  SqliteStoreTest() {
    std::string path = ::testing::TempDir() + "/sqlite-XXXXXX";
    folder_ = mkdtemp(path.data());
    options_.path = folder_ + "/store.db";
  }
  ~SqliteStoreTest() override {
    store_.reset();
    fs::remove_all(folder_);
  }

  absl::Status Open() {
    store_.reset();
    auto opened = OpenSqliteStore(options_, &clock_, &log_);
    if (opened.ok()) store_ = std::move(*opened);
    return opened.status();
  }
  int64_t CountedByHour() {
    const auto report = ReportOf<HoursReport>(store_.get(), HoursQuery{"", 0, int64_t{1} << 40});
    EXPECT_TRUE(report.ok()) << report.status();
    int64_t sum = 0;
    for (const HourCounts& hour : *report) sum += hour.detections;
    return sum;
  }
  DetectionRecord Detection(int n) {
    DetectionRecord r;
    r.message_id = absl::StrCat("m-", n);
    r.camera_id = absl::StrCat("CAM", n % 3);
    r.checkpoint_id = "CP01";
    r.protocol = "rest";
    r.captured_at = r.arrived_at = clock_.Now();
    r.key = MakeMessageKey(r.message_id, r.camera_id, r.captured_at);
    r.plates.push_back(PlateRead{"1AB2345", 0.9, "{}", ""});
    r.payload_json = absl::StrCat(R"({"n":)", n, R"(,"pad":")", std::string(200, 'x'), R"("})");
    return r;
  }
  AppendResult Append(StoreRecord record) {
    absl::Notification done;
    AppendResult out;
    std::vector<StoreRecord> records;
    records.push_back(std::move(record));
    store_->Append(std::move(records), [&](std::vector<AppendResult> results) {
      out = std::move(results[0]);
      done.Notify();
    });
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kDeadline));
    return out;
  }
  void Fill(int count) {
    for (int n = 0; n < count; ++n) ASSERT_TRUE(Append(Detection(n)).status.ok());
  }
  int64_t Total() {
    const auto statistics = store_->Statistics();
    EXPECT_TRUE(statistics.ok()) << statistics.status();
    return statistics.ok() ? statistics->total_detections : -1;
  }
  int64_t CountFiles(const std::string& part) {
    int64_t count = 0;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      count += entry.path().filename().string().find(part) != std::string::npos ? 1 : 0;
    }
    return count;
  }
  // Salvage goes on after the store is open; its last act removes the marker.
  void AwaitSalvage() {
    const absl::Time deadline = absl::Now() + kDeadline;
    while (fs::exists(options_.path + ".salvage") && absl::Now() < deadline) {
      std::this_thread::yield();
    }
    EXPECT_FALSE(fs::exists(options_.path + ".salvage"));
  }
  void Overwrite(size_t offset, const std::string& bytes) {
    std::fstream file(options_.path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    file << bytes;
  }

  FakeClock clock_;
  NullLog log_;
  std::string folder_;
  SqliteStoreOptions options_;
  std::unique_ptr<Store> store_;
};

TEST_F(SqliteStoreTest, SaysItsVersionAndSize) {
  ASSERT_TRUE(Open().ok());
  Fill(3);
  const StoreHealth health = store_->Health();
  EXPECT_EQ(health.state, StoreHealth::State::kOk);
  EXPECT_EQ(health.reason, "");
  EXPECT_EQ(health.schema_version, LatestSchemaVersion());
  EXPECT_GT(health.bytes, 4096);
  EXPECT_EQ(health.committed_records, 3);
}

// Not the sender's fault: the message must not be thrown away.
TEST_F(SqliteStoreTest, AnErrorThatNobodyUnderstandsIsToldAsOneToTryAgain) {
  ASSERT_TRUE(Open().ok());
  Fill(1);
  store_.reset();
  {
    SqliteDb::Options writable;
    writable.create = true;
    auto db = SqliteDb::Open(options_.path, writable, &clock_);
    ASSERT_TRUE(db.ok()) << db.status();
    // An error of no code of its own: an integer overflow.
    ASSERT_TRUE((*db)
                    ->Exec("CREATE TRIGGER odd BEFORE INSERT ON detections WHEN NEW.message_id = "
                           "'m-7' BEGIN SELECT abs(-9223372036854775807 - 1); END")
                    .ok());
  }
  ASSERT_TRUE(Open().ok());
  std::vector<StoreRecord> records;
  for (int n = 6; n < 9; ++n) records.emplace_back(Detection(n));
  absl::Notification done;
  std::vector<AppendResult> results;
  store_->Append(std::move(records), [&](std::vector<AppendResult> out) {
    results = std::move(out);
    done.Notify();
  });
  ASSERT_TRUE(done.WaitForNotificationWithTimeout(kDeadline));
  EXPECT_TRUE(results[0].status.ok()) << results[0].status;
  EXPECT_EQ(results[1].status.code(), absl::StatusCode::kUnavailable) << results[1].status;
  EXPECT_TRUE(results[2].status.ok()) << results[2].status;
  EXPECT_EQ(Append(Detection(7)).status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Total(), 3);
}

TEST_F(SqliteStoreTest, LeavesAFileOfANewerVersionAsItIs) {
  ASSERT_TRUE(Open().ok());
  Fill(3);
  store_.reset();
  {
    auto db = SqliteDb::Open(options_.path, SqliteDb::Options(), &clock_);
    ASSERT_TRUE(db.ok());
    ASSERT_TRUE((*db)->Exec("INSERT INTO schema_version VALUES (99, 0)").ok());
    ASSERT_TRUE((*db)->Exec("PRAGMA wal_checkpoint(TRUNCATE)").ok());
  }
  const auto read = [this] {
    std::ifstream file(options_.path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const std::string before = read();
  const absl::Status status = Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(status.message(), HasSubstr("written by a newer version, schema 99"));
  EXPECT_EQ(read(), before);
}

TEST_F(SqliteStoreTest, LeavesAFileOfAnotherProgramAsItIs) {
  {
    SqliteDb::Options create;
    create.create = true;
    auto db = SqliteDb::Open(options_.path, create, &clock_);
    ASSERT_TRUE(db.ok());
    ASSERT_TRUE((*db)->Exec("CREATE TABLE songs (title TEXT)").ok());
  }
  const absl::Status status = Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(status.message(), HasSubstr("belongs to another program"));
  EXPECT_EQ(CountFiles("damaged"), 0);
}

TEST_F(SqliteStoreTest, IsForOneProcessAtATime) {
  ASSERT_TRUE(Open().ok());
  const auto second = OpenSqliteStore(options_, &clock_, &log_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition) << second.status();
  EXPECT_THAT(second.status().message(), HasSubstr("another process has it open"));
}

TEST_F(SqliteStoreTest, AFolderThatIsNotThereIsSaid) {
  options_.path = folder_ + "/missing/store.db";
  const absl::Status status = Open();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.message(), HasSubstr("missing/store.db"));
}

TEST_F(SqliteStoreTest, AFullDiskRefusesAndGoesOnWhenSpaceReturns) {
  FaultyVfs vfs;
  ASSERT_TRUE(Open().ok());
  Fill(5);
  vfs.FailWrites(SQLITE_FULL);
  for (int i = 0; i < 3; ++i) {
    const AppendResult refused = Append(Detection(100));
    EXPECT_EQ(refused.status.code(), absl::StatusCode::kResourceExhausted) << refused.status;
    EXPECT_EQ(refused.id, "");
  }
  EXPECT_EQ(store_->Health().state, StoreHealth::State::kDegraded);
  EXPECT_EQ(Total(), 5);  // Reading goes on.
  vfs.FailWrites(SQLITE_OK);
  const AppendResult stored = Append(Detection(100));
  EXPECT_TRUE(stored.status.ok()) << stored.status;
  EXPECT_FALSE(stored.duplicate);
  EXPECT_EQ(Total(), 6);
  EXPECT_EQ(store_->Health().state, StoreHealth::State::kOk);
  store_.reset();
}

TEST_F(SqliteStoreTest, AFailingDiskRefusesAndGoesOnWhenItWorksAgain) {
  FaultyVfs vfs;
  ASSERT_TRUE(Open().ok());
  Fill(5);
  for (const bool sync : {false, true}) {
    sync ? vfs.FailSyncs(SQLITE_IOERR_FSYNC) : vfs.FailWrites(SQLITE_IOERR_WRITE);
    const AppendResult refused = Append(Detection(sync ? 200 : 100));
    EXPECT_EQ(refused.status.code(), absl::StatusCode::kUnavailable) << refused.status;
    vfs.FailSyncs(SQLITE_OK);
    vfs.FailWrites(SQLITE_OK);
    const AppendResult stored = Append(Detection(sync ? 200 : 100));
    EXPECT_TRUE(stored.status.ok()) << stored.status;
    // After a failed sync the record may be there: then this was the duplicate of it.
    EXPECT_TRUE(sync || !stored.duplicate);
  }
  EXPECT_EQ(Total(), 7);
  store_.reset();
}

TEST_F(SqliteStoreTest, SetsAFileOfRubbishAsideAndBeginsANewOne) {
  std::ofstream(options_.path) << std::string(20'000, 'z');
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(CountFiles("damaged"), 1);
  EXPECT_THAT(store_->Health().reason, HasSubstr("a damaged file was set aside as"));
  Fill(3);
  EXPECT_EQ(Total(), 3);
}

TEST_F(SqliteStoreTest, DamageStopsTheStartWhenThePolicySaysSo) {
  options_.set_aside_corrupt = false;
  std::ofstream(options_.path) << std::string(20'000, 'z');
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CountFiles("damaged"), 0);
}

// Every page but the first two in turn is overwritten. Whatever was hit, the store opens, takes new
// records and has every record of the pages that were not hit.
TEST_F(SqliteStoreTest, SalvagesWhatADamagedPageLeft) {
  constexpr int kRecords = 300;
  constexpr size_t kPage = 4096;
  ASSERT_TRUE(Open().ok());
  Fill(kRecords);
  store_.reset();
  const std::string whole = folder_ + "/whole.db";
  fs::copy_file(options_.path, whole);
  const size_t pages = fs::file_size(whole) / kPage;
  ASSERT_GT(pages, 30u);
  int set_aside = 0;
  for (size_t page = 2; page < pages; page += 3) {
    for (const auto& entry : fs::directory_iterator(folder_)) {
      if (entry.path() != whole) fs::remove(entry.path());
    }
    fs::copy_file(whole, options_.path);
    Overwrite(page * kPage, std::string(kPage, '\x5a'));
    ASSERT_TRUE(Open().ok()) << "page " << page;
    EXPECT_TRUE(Append(Detection(100'000)).status.ok()) << "page " << page;
    AwaitSalvage();
    const bool replaced = CountFiles("damaged") > 0;
    set_aside += replaced ? 1 : 0;
    const auto page_of_records = store_->ListRecords(RecordsQuery());
    EXPECT_TRUE(page_of_records.ok()) << page_of_records.status();
    if (!replaced) continue;
    // A leaf of the table holds about eight rows; an inner page may hide far more, but rows are
    // found behind it again.
    EXPECT_GT(Total(), kRecords / 3) << "page " << page;
    EXPECT_EQ(CountedByHour(), Total()) << "page " << page;
    EXPECT_FALSE(Append(Detection(100'001)).duplicate);
  }
  EXPECT_GT(set_aside, 10);
}

TEST_F(SqliteStoreTest, SalvagedRecordsAreStillDuplicates) {
  ASSERT_TRUE(Open().ok());
  Fill(50);
  store_.reset();
  // The index of the health reports: nothing that matters to detections.
  auto db = SqliteDb::Open(options_.path, SqliteDb::Options(), &clock_);
  ASSERT_TRUE(db.ok());
  const auto root = (*db)->QueryInt("SELECT rootpage FROM sqlite_schema WHERE name = 'blacklist'");
  ASSERT_TRUE(root.ok());
  db->reset();
  Overwrite(static_cast<size_t>(*root - 1) * 4096, std::string(4096, '\xff'));
  ASSERT_TRUE(Open().ok());
  AwaitSalvage();
  ASSERT_EQ(CountFiles("damaged"), 1);
  EXPECT_EQ(Total(), 50);
  EXPECT_TRUE(Append(Detection(7)).duplicate);
  EXPECT_FALSE(Append(Detection(50)).duplicate);
  RecordsQuery query;
  query.camera_id = "CAM2";
  query.limit = 100;
  const auto records = store_->ListRecords(query);
  ASSERT_TRUE(records.ok()) << records.status();
  EXPECT_EQ(records->total, 17);
  EXPECT_THAT(records->rows, SizeIs(17));
  EXPECT_EQ(store_->Statistics()->unique_cameras, 3);
}

// What says how the file is built can be written again; the rows are as good as before.
TEST_F(SqliteStoreTest, ADamagedFirstPageCostsNothing) {
  for (const size_t bytes : {size_t{100}, size_t{4096}}) {
    ASSERT_TRUE(Open().ok());
    Fill(50);
    store_.reset();
    Overwrite(0, std::string(bytes, '\x5a'));
    ASSERT_TRUE(Open().ok());
    AwaitSalvage();
    EXPECT_EQ(CountFiles("damaged"), 1);
    EXPECT_EQ(Total(), 50) << bytes << " bytes overwritten";
    EXPECT_TRUE(Append(Detection(7)).duplicate);
    EXPECT_FALSE(Append(Detection(50)).duplicate);
    store_.reset();
    for (const auto& entry : fs::directory_iterator(folder_)) fs::remove(entry.path());
  }
}

TEST_F(SqliteStoreTest, ADamagedLogIsNoTrouble) {
  ASSERT_TRUE(Open().ok());
  Fill(20);
  fs::copy(options_.path, folder_ + "/copy.db");
  fs::copy(options_.path + "-wal", folder_ + "/copy.db-wal");
  store_.reset();
  fs::rename(folder_ + "/copy.db", options_.path);
  fs::rename(folder_ + "/copy.db-wal", options_.path + "-wal");
  fs::resize_file(options_.path + "-wal", fs::file_size(options_.path + "-wal") - 100);
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(Total(), 19);  // The last transaction was torn, as after a loss of power.
}

// As a node of an earlier version has left it.
TEST_F(SqliteStoreTest, CountsTheHoursOfWhatWasThereBefore) {
  ASSERT_TRUE(Open().ok());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Append(Detection(i)).status.ok());
  store_.reset();
  {
    auto db = SqliteDb::Open(options_.path, SqliteDb::Options(), &clock_);
    ASSERT_TRUE(db.ok()) << db.status();
    ASSERT_TRUE((*db)
                    ->Exec("DROP TABLE detection_hours; DROP INDEX health_reports_gateway; DELETE "
                           "FROM schema_version WHERE version >= 4")
                    .ok());
  }
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(Detection(3)).status.ok());
  const int64_t hour = absl::ToUnixSeconds(clock_.Now()) / 3600;
  for (const auto& [camera, wanted] : {std::pair("", 4), {"CAM0", 2}, {"CAM1", 1}}) {
    const auto report = ReportOf<HoursReport>(store_.get(), HoursQuery{camera, hour, hour + 1});
    ASSERT_TRUE(report.ok()) << report.status();
    ASSERT_THAT(*report, SizeIs(1));
    EXPECT_EQ(report->front().detections, wanted) << camera;
  }
}

}  // namespace
}  // namespace viaduct
