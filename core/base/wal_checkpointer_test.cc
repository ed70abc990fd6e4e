#include "core/base/wal_checkpointer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/base/test_folder.h"

namespace viaduct {
namespace {

constexpr int kLimit = 1024;
constexpr int64_t kPageBytes = 4096;

class WalCheckpointerTest : public testing::Test {
 protected:
  WalCheckpointerTest() {
    writer_ = Open();
    Run(writer_, "PRAGMA journal_mode=WAL");
    Run(writer_, "PRAGMA synchronous=FULL");
    Run(writer_, "PRAGMA wal_autocheckpoint=0");
    Run(writer_, "CREATE TABLE t(id INTEGER PRIMARY KEY, data BLOB)");
    sqlite3_wal_hook(
        writer_.get(),
        [](void* pages, sqlite3*, const char*, int count) {
          *static_cast<int*>(pages) = count;
          return SQLITE_OK;
        },
        &log_pages_);
  }

  sqlite::SqliteHandle Open() {
    absl::StatusOr<sqlite::SqliteHandle> db =
        sqlite::OpenSqlite(path_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, /*vfs=*/"");
    EXPECT_TRUE(db.ok()) << db.status();
    return *std::move(db);
  }
  static void Run(const sqlite::SqliteHandle& db, const std::string& sql) {
    const absl::Status status = sqlite::Execute(db.get(), sql.c_str());
    ASSERT_TRUE(status.ok()) << sql << ": " << status;
  }
  // A page each, in one commit.
  void Write(int pages) {
    Run(writer_, absl::StrCat("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT ",
                              pages, ") INSERT INTO t(data) SELECT randomblob(4000) FROM n"));
  }
  // As ShouldFinish, once no run is under way any more.
  bool ShouldFinishInTheEnd() {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (std::chrono::steady_clock::now() < limit) {
      if (checkpointer_.ShouldFinish(log_pages_, kLimit)) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }
  // As the writer does: the log begins anew with the next commit.
  void Finish() { sqlite3_wal_checkpoint_v2(writer_.get(), nullptr, 0, nullptr, nullptr); }
  // What was brought back is in the file.
  int64_t FilePages() {
    return static_cast<int64_t>(std::filesystem::file_size(path_)) / kPageBytes;
  }

  TestFolder folder_;
  const std::string path_ = folder_.File("a.db");
  int log_pages_ = 0;
  sqlite::SqliteHandle writer_;
  WalCheckpointer checkpointer_{path_, ""};  // Goes before the writer.
};

TEST_F(WalCheckpointerTest, BringsALongLogBackBesideTheWriter) {
  Write(2 * kLimit);
  EXPECT_FALSE(checkpointer_.ShouldFinish(log_pages_, kLimit));
  ASSERT_TRUE(ShouldFinishInTheEnd());
  EXPECT_GE(FilePages(), 2 * kLimit);
}

TEST_F(WalCheckpointerTest, BringsItBackInPartsWhileItGrows) {
  for (int part = 1; part <= 3; ++part) {
    Write(kLimit / 4 + 1);
    EXPECT_FALSE(checkpointer_.ShouldFinish(log_pages_, 10 * kLimit));
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (FilePages() < part * kLimit / 4 && std::chrono::steady_clock::now() < limit) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_GE(FilePages(), part * kLimit / 4) << part;
  }
}

TEST_F(WalCheckpointerTest, DoesTheSameForTheNextLog) {
  for (int log = 1; log <= 3; ++log) {
    Write(2 * kLimit);
    EXPECT_FALSE(checkpointer_.ShouldFinish(log_pages_, kLimit)) << log;
    ASSERT_TRUE(ShouldFinishInTheEnd());
    EXPECT_GE(FilePages(), 2 * log * kLimit);
    if (log == 1) Finish();  // Nothing was left in any case, so that it begins anew without.
    Write(1);
    EXPECT_LT(log_pages_, 100);
    EXPECT_FALSE(checkpointer_.ShouldFinish(log_pages_, kLimit));
  }
}

TEST_F(WalCheckpointerTest, LeavesAShortLogToTheWriter) {
  Write(200);
  EXPECT_FALSE(checkpointer_.ShouldFinish(log_pages_, kLimit));
  EXPECT_TRUE(checkpointer_.ShouldFinish(log_pages_, 100));
  EXPECT_LT(FilePages(), 200);
}

TEST_F(WalCheckpointerTest, GivesUpWhereSomebodyReadsWhatIsOlder) {
  const sqlite::SqliteHandle reader = Open();
  Run(reader, "BEGIN");
  ASSERT_TRUE(sqlite::QueryInt(reader.get(), "SELECT count(*) FROM t").ok());
  Write(2 * kLimit);
  ASSERT_TRUE(ShouldFinishInTheEnd());
  EXPECT_LT(FilePages(), kLimit);
  Run(reader, "ROLLBACK");
  ASSERT_TRUE(ShouldFinishInTheEnd());
  EXPECT_GE(FilePages(), 2 * kLimit);
}

}  // namespace
}  // namespace viaduct
