// SIGKILL at every crash point of the store, twice in a row; what was accepted is there once, whole
// and with its images, and nothing is left over.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/clock.h"
#include "core/base/testing/crash_child.h"
#include "core/observe/log.h"
#include "core/store/crash_points.h"
#include "core/store/image_folder.h"
#include "core/store/sqlite_db.h"
#include "core/store/sqlite_store.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;

struct Outcome {
  bool killed = false;  // Else it has ended well.
  std::set<std::string> accepted;
};

// Runs the child, killed at `crash_at` unless that is empty.
Outcome RunChild(const std::string& folder, const std::string& crash_at) {
  const CrashedLife life = RunToTheCrash(crash_at, [&](int out) {
    dup2(out, STDOUT_FILENO);
    close(out);
    execl(STORE_CRASH_CHILD, STORE_CRASH_CHILD, folder.c_str(), nullptr);
  });
  Outcome outcome;
  outcome.killed = life.killed;
  const std::string& text = life.said;
  size_t at = 0;
  while ((at = text.find("accepted ", at)) != std::string::npos) {
    const size_t end = text.find('\n', at);
    if (end == std::string::npos) break;
    outcome.accepted.insert(text.substr(at + 9, end - at - 9));
    at = end;
  }
  return outcome;
}

class StoreCrashTest : public ::testing::TestWithParam<const char*> {
 protected:
  StoreCrashTest() {
    std::string path = ::testing::TempDir() + "/crash-XXXXXX";
    folder_ = mkdtemp(path.data());
  }
  ~StoreCrashTest() override { fs::remove_all(folder_); }

  // Points that only a damaged file reaches.
  bool NeedsDamage() const {
    return absl::StrContains(GetParam(), "set_aside") || absl::StrContains(GetParam(), "salvage");
  }
  // The record in it comes from nowhere else: only salvage brings it into the next file.
  void Damage() {
    ASSERT_FALSE(RunChild(folder_, "").killed);
    StoreBefore();
    FakeClock clock;
    auto db = SqliteDb::Open(folder_ + "/store.db", SqliteDb::Options(), &clock);
    ASSERT_TRUE(db.ok()) << db.status();
    const auto page =
        (*db)->QueryInt("SELECT rootpage FROM sqlite_schema WHERE name = 'blacklist'");
    ASSERT_TRUE(page.ok()) << page.status();
    db->reset();
    std::fstream file(folder_ + "/store.db", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp((*page - 1) * 4096);
    file << std::string(4096, '\x5a');
  }
  void StoreBefore() {
    FakeClock clock;
    NullLog log;
    SqliteStoreOptions options;
    options.path = folder_ + "/store.db";
    auto store = OpenSqliteStore(options, &clock, &log);
    ASSERT_TRUE(store.ok()) << store.status();
    DetectionRecord record;
    record.message_id = "m-before";
    record.camera_id = "CAM001";
    record.captured_at = record.arrived_at = clock.Now();
    record.key = MakeMessageKey(record.message_id, record.camera_id, record.captured_at);
    record.plates.push_back(PlateRead{"Pbefore", 0.9, "{}", ""});
    std::vector<StoreRecord> records;
    records.emplace_back(std::move(record));
    absl::Notification done;
    (*store)->Append(std::move(records), [&](const std::vector<AppendResult>& results) {
      EXPECT_TRUE(results[0].status.ok()) << results[0].status;
      done.Notify();
    });
    done.WaitForNotification();
  }
  // Everything that was accepted, and as it was.
  void Check(const std::set<std::string>& accepted) {
    FakeClock clock;
    NullLog log;
    SqliteStoreOptions options;
    options.path = folder_ + "/store.db";
    auto store = OpenSqliteStore(options, &clock, &log);
    ASSERT_TRUE(store.ok()) << store.status();
    auto images = ImageFolder::Open(ImageFolderOptions{folder_ + "/images"}, &log);
    ASSERT_TRUE(images.ok());
    while (fs::exists(options.path + ".salvage")) std::this_thread::yield();
    RecordsQuery query;
    query.limit = 100;
    const auto page = (*store)->ListRecords(query);
    ASSERT_TRUE(page.ok()) << page.status();
    std::multiset<std::string> stored;
    int64_t named = 0;
    for (const DetectionRow& row : page->rows) {
      stored.insert(row.record.message_id);
      const bool by_itself = row.record.message_id == "m-before";
      EXPECT_EQ(row.record.image_path.empty(), by_itself) << row.record.message_id;
      if (!row.record.image_path.empty()) {
        EXPECT_TRUE((*images)->Read(row.record.image_path).ok()) << row.record.image_path;
        EXPECT_TRUE((*images)->Read(row.record.plate_images.at(0)).ok());
        named += 2;
      }
      ASSERT_EQ(row.record.plates.size(), 1u);
      EXPECT_EQ(row.record.plates[0].text, "P" + row.record.message_id.substr(2));
    }
    for (const std::string& id : accepted) EXPECT_EQ(stored.count(id), 1u) << id;
    for (const std::string& id : stored) EXPECT_EQ(stored.count(id), 1u) << id;
    EXPECT_EQ((*store)->Statistics()->total_detections, static_cast<int64_t>(stored.size()));
    if (!NeedsDamage()) {
      EXPECT_EQ(CountImages(), named);
    }
  }
  int64_t CountImages() {
    int64_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ + "/images")) {
      count += entry.is_regular_file() ? 1 : 0;
    }
    return count;
  }

  std::string folder_;
};

TEST_P(StoreCrashTest, LosesNothingAndDoublesNothing) {
  if (NeedsDamage()) Damage();
  std::set<std::string> accepted;
  if (NeedsDamage()) accepted.insert("m-before");
  int killed = 0;
  for (int round = 0; round < 2; ++round) {
    const Outcome outcome = RunChild(folder_, GetParam());
    accepted.insert(outcome.accepted.begin(), outcome.accepted.end());
    killed += outcome.killed ? 1 : 0;
  }
  EXPECT_GE(killed, 1) << "the point was never passed";
  const Outcome last = RunChild(folder_, "");
  EXPECT_FALSE(last.killed);
  EXPECT_EQ(last.accepted.size(), 6u);
  accepted.insert(last.accepted.begin(), last.accepted.end());
  Check(accepted);
}

// It may be that whoever made the folder never came to sync it.
TEST(ImageFolderSyncTest, AFolderThatIsThereIsSyncedByEachProcessAgain) {
  std::string folder = ::testing::TempDir() + "/crash-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  ASSERT_FALSE(RunChild(folder, "").killed);
  for (const char* file : {"/store.db", "/store.db-wal", "/store.db-shm"}) {
    fs::remove(folder + file);  // The same messages are new again; their folders are not.
  }
  EXPECT_TRUE(RunChild(folder, "store.image.folder:5").killed);
  fs::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(EveryPoint, StoreCrashTest, ::testing::ValuesIn(kStoreCrashPoints),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) c = c == '.' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace viaduct
