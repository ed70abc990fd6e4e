#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/backup/backup_check.h"
#include "core/backup/backup_database.h"
#include "core/backup/backup_files.h"
#include "core/backup/backup_restore.h"
#include "core/backup/backups.h"
#include "core/base/sqlite.h"
#include "core/base/test_folder.h"
#include "core/security/key_ring.h"

namespace viaduct::backup {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void Write(const std::string& path, const std::string& text) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

// A folder with a database, images and a secret, and backups of it.
class BackupTest : public ::testing::Test {
 protected:
  BackupTest() {
    Write(folder_.File("data/images/CAM001/a.jpg"), "first image");
    Write(folder_.File("data/images/CAM001/b.jpg"), "second image");
    Write(folder_.File("data/secret.key"), "very secret");
    db_ = *sqlite::OpenSqlite(folder_.File("data/store.db"),
                              SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "");
    EXPECT_TRUE(sqlite::Execute(db_.get(),
                                "PRAGMA journal_mode=WAL;CREATE TABLE row (id INTEGER PRIMARY KEY,"
                                " path TEXT);"
                                "INSERT INTO row (path) VALUES ('CAM001/a.jpg'), ('CAM001/b.jpg')")
                    .ok());
    options_.path = folder_.File("backups");
    options_.node_id = "SERVER1";
  }

  void UseKey() {
    const auto keys = security::KeyRing::Parse("k1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
    ASSERT_TRUE(keys.ok()) << keys.status();
    options_.cipher = std::make_shared<const security::FileCipher>(*keys, kCipherPurpose);
    options_.key_id = "k1";
  }

  absl::Status Fill(BackupWriter* to) {
    to->manifest()->places = {{"store/store.db", "store.db"}, {"images", "images"}};
    absl::Status status = to->Database(folder_.File("data/store.db"), "store/store.db");
    if (!status.ok()) return status;
    status = to->Folder(folder_.File("data/images"), "images", true, nullptr);
    if (!status.ok() || !to->keeps_secrets()) return status;
    to->manifest()->places.push_back({"secrets/secret.key", "secret.key"});
    return to->Secret(Read(folder_.File("data/secret.key")), "secrets/secret.key");
  }

  absl::StatusOr<BackupManifest> Create(const absl::Notification* stopping = nullptr) {
    return Backups(options_, &clock_)
        .Create([this](BackupWriter* to) { return Fill(to); }, nullptr, stopping);
  }

  std::string FolderOf(const BackupManifest& manifest) const {
    return absl::StrCat(options_.path, "/", manifest.name);
  }

  BackupVerdict Verify(const std::string& folder) {
    Pace pace({}, &clock_);
    absl::StatusOr<BackupVerdict> verdict = VerifyBackup(folder, &pace, nullptr);
    EXPECT_TRUE(verdict.ok()) << verdict.status();
    return verdict.ok() ? *std::move(verdict) : BackupVerdict();
  }

  absl::StatusOr<RestoreReport> Restore(const std::string& from, const std::string& to) {
    RestoreOptions options;
    options.backup = from;
    options.data_dir = to;
    options.cipher = options_.cipher;
    Pace pace({}, &clock_);
    return RestoreBackup(options, &pace);
  }

  SystemClock clock_;
  TestFolder folder_;
  sqlite::SqliteHandle db_;
  BackupsOptions options_;
};

TEST_F(BackupTest, WhatIsRestoredIsWhatWasThere) {
  UseKey();
  const auto made = Create();
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->files, 4U);
  EXPECT_EQ(made->rows.at("store/store.db").at("row"), 2U);
  EXPECT_TRUE(Verify(FolderOf(*made)).good());
  EXPECT_EQ(Read(FolderOf(*made) + "/secrets/secret.key").find("very secret"), std::string::npos);
  const auto restored = Restore(FolderOf(*made), folder_.File("new"));
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(restored->secrets, 1U);
  EXPECT_EQ(Read(folder_.File("new/images/CAM001/a.jpg")), "first image");
  EXPECT_EQ(Read(folder_.File("new/secret.key")), "very secret");
  const auto rows = CountRows(folder_.File("new/store.db"));
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(rows->at("row"), 2U);
}

TEST_F(BackupTest, EachBitThatFlipsIsFound) {
  UseKey();
  const auto made = Create();
  ASSERT_TRUE(made.ok()) << made.status();
  for (const char* name :
       {"store/store.db", "images/CAM001/a.jpg", "secrets/secret.key", kSumsName, kManifestName}) {
    const std::string path = FolderOf(*made) + "/" + name;
    const std::string was = Read(path);
    for (const size_t at : {size_t{0}, was.size() / 2, was.size() - 2}) {
      std::string changed = was;
      changed[at] = static_cast<char>(changed[at] ^ 4);
      fs::remove(path);  // It may be a link to the image itself.
      Write(path, changed);
      Pace pace({}, &clock_);
      const auto verdict = VerifyBackup(FolderOf(*made), &pace, nullptr);
      EXPECT_TRUE(!verdict.ok() || !verdict->good()) << name << " at " << at;
    }
    Write(path, was);
  }
  EXPECT_TRUE(Verify(FolderOf(*made)).good());
}

TEST_F(BackupTest, AMissingFileAndAStrangeOneAreFound) {
  const auto made = Create();
  ASSERT_TRUE(made.ok()) << made.status();
  fs::remove(FolderOf(*made) + "/images/CAM001/a.jpg");
  Write(FolderOf(*made) + "/images/CAM001/c.jpg", "strange");
  EXPECT_THAT(Verify(FolderOf(*made)).named,
              ::testing::IsSupersetOf(
                  {"images/CAM001/a.jpg: missing", "images/CAM001/c.jpg: not in the list"}));
}

TEST_F(BackupTest, TheNextOneSharesWhatHasNotChanged) {
  const auto first = Create();
  ASSERT_TRUE(first.ok()) << first.status();
  const std::string b = folder_.File("data/images/CAM001/b.jpg");
  Write(b + ".new", "replaced image");
  fs::rename(b + ".new", b);
  const auto second = Create();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->based_on, first->name);
  EXPECT_EQ(second->shared_files, 1U);
  EXPECT_TRUE(Verify(FolderOf(*second)).good());
  EXPECT_EQ(Read(FolderOf(*first) + "/images/CAM001/b.jpg"), "second image");
  EXPECT_EQ(Read(FolderOf(*second) + "/images/CAM001/b.jpg"), "replaced image");
}

TEST_F(BackupTest, IsOfOneMomentWhileOthersWrite) {
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    while (!stop) {
      // Two rows or none: half of a transaction would be an odd number.
      EXPECT_TRUE(sqlite::Execute(db_.get(), "INSERT INTO row (path) VALUES ('x'), ('y')").ok());
    }
  });
  for (int i = 0; i < 5; ++i) {
    const auto made = Create();
    ASSERT_TRUE(made.ok()) << made.status();
    EXPECT_EQ(made->rows.at("store/store.db").at("row") % 2, 0U);
    EXPECT_TRUE(Verify(FolderOf(*made)).good());
  }
  stop = true;
  writer.join();
}

TEST_F(BackupTest, NothingIsRestoredOverAnything) {
  const auto made = Create();
  ASSERT_TRUE(made.ok()) << made.status();
  Write(folder_.File("new/there"), "mine");
  EXPECT_EQ(Restore(FolderOf(*made), folder_.File("new")).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Read(folder_.File("new/there")), "mine");
  fs::create_directories(folder_.File("empty"));
  EXPECT_TRUE(Restore(FolderOf(*made), folder_.File("empty")).ok());
}

TEST_F(BackupTest, ADamagedOneIsNotRestored) {
  const auto made = Create();
  ASSERT_TRUE(made.ok()) << made.status();
  const std::string path = FolderOf(*made) + "/images/CAM001/a.jpg";
  fs::remove(path);
  Write(path, "other image");
  EXPECT_EQ(Restore(FolderOf(*made), folder_.File("new")).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_FALSE(fs::exists(folder_.File("new")));
  EXPECT_FALSE(fs::exists(folder_.File("new.restoring")));
}

TEST_F(BackupTest, WhatFailedLeavesNothing) {
  absl::Notification stopping;
  stopping.Notify();
  EXPECT_EQ(Create(&stopping).status().code(), absl::StatusCode::kCancelled);
  options_.min_free_bytes = uint64_t{1} << 60;
  EXPECT_EQ(Create().status().code(), absl::StatusCode::kResourceExhausted);
  options_.min_free_bytes = 0;
  const auto list = ListBackups(options_.path);
  ASSERT_TRUE(list.ok());
  EXPECT_TRUE(list->empty());
}

TEST_F(BackupTest, WhatACrashLeftIsNoBackupAndGoes) {
  const std::string left = options_.path + "/000007-20240115T103000Z.unfinished";
  ASSERT_TRUE(MakeFolders(left).ok());
  Write(left + "/store/store.db", "half");
  Pace pace({}, &clock_);
  EXPECT_FALSE(VerifyBackup(left, &pace, nullptr).ok());
  EXPECT_FALSE(ListBackups(options_.path)->front().manifest.ok());
  const auto made = Create();
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_THAT(made->name, HasSubstr("000008-"));
  EXPECT_FALSE(fs::exists(left));
}

TEST_F(BackupTest, TheNewestStayWhateverTheClockSays) {
  FakeClock clock;
  std::vector<std::string> names;
  for (int i = 0; i < 4; ++i) {
    Backups backups(options_, &clock);
    const auto made =
        backups.Create([this](BackupWriter* to) { return Fill(to); }, nullptr, nullptr);
    ASSERT_TRUE(made.ok()) << made.status();
    names.push_back(made->name);
    clock.JumpWall(-absl::Hours(24 * 365));
  }
  EXPECT_THAT(*PruneBackups(options_.path, 2, /*dry_run=*/true), ElementsAre(names[0], names[1]));
  EXPECT_EQ(ListBackups(options_.path)->size(), 4U);
  EXPECT_THAT(*PruneBackups(options_.path, 2, /*dry_run=*/false), ElementsAre(names[0], names[1]));
  ASSERT_EQ(ListBackups(options_.path)->size(), 2U);
  EXPECT_TRUE(Verify(options_.path + "/" + names[3]).good());
}

TEST_F(BackupTest, OthersMayNotLookIntoTheFolder) {
  ASSERT_EQ(mkdir(options_.path.c_str(), 0755), 0);
  ASSERT_EQ(chmod(options_.path.c_str(), 0755), 0);
  EXPECT_THAT(std::string(Create().status().message()), HasSubstr("chmod 700"));
}

TEST_F(BackupTest, NamesThatLeaveTheFolderAreNone) {
  for (const char* bad : {"", "/etc/passwd", "../x", "a/../b", "a//b", "./a", "a\nb", "a\\b"}) {
    EXPECT_FALSE(IsSafeName(bad)) << bad;
  }
  EXPECT_TRUE(IsSafeName("images/CAM001/2024/01/15/detection_1.jpg"));
  auto made = Create();
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_TRUE(ReadManifest(WriteManifest(*made)).ok());
  made->places[0].to = "../etc";
  EXPECT_EQ(ReadManifest(WriteManifest(*made)).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadManifest("{\"format\": 2}").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(PaceTest, TakesAsLongAsTheBytesCost) {
  SystemClock clock;
  Pace pace({1'000'000, "", 0, nullptr}, &clock);
  const int64_t begin = clock.MonotonicNanos();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(pace.Spend(20'000).ok());
  EXPECT_GE(clock.MonotonicNanos() - begin, 150'000'000);
}

}  // namespace
}  // namespace viaduct::backup
