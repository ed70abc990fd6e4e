#include "core/base/wal_checkpointer.h"

#include <utility>

#include "core/base/executor.h"
#include "core/base/thread_policy.h"

namespace viaduct {
namespace {

// So many pages of 4 KiB the writer brings back itself: a few milliseconds.
constexpr int kBriefPages = 512;
// And so many at most are written and synced at a time beside it: what it commits meanwhile waits
// for the disk behind them.
constexpr int kPartPages = 256;

}  // namespace

WalCheckpointer::WalCheckpointer(std::string path, std::string vfs)
    : path_(std::move(path)), vfs_(std::move(vfs)) {}

WalCheckpointer::~WalCheckpointer() {
  stopping_ = true;
  waker_.Wake();
  if (thread_.joinable()) thread_.join();
}

bool WalCheckpointer::ShouldFinish(int log_pages, int limit) {
  if (log_pages < last_pages_) restarted_ = true;
  last_pages_ = log_pages;
  if (running_) return false;
  if (restarted_) {
    done_pages_ = 0;
    begun_pages_ = 0;
    restarted_ = false;
  }
  const int done = done_pages_;
  const bool long_enough = log_pages >= limit;
  // A run that did nothing has somebody who reads, or the disk, against it.
  if (long_enough && (log_pages - done <= kBriefPages || (ran_ && done == done_before_))) {
    ran_ = false;
    return true;
  }
  if (long_enough || log_pages - begun_pages_ >= kPartPages) Begin(log_pages, done);
  return false;
}

void WalCheckpointer::Begin(int log_pages, int done) {
  ran_ = true;
  begun_pages_ = log_pages;
  done_before_ = done;
  running_ = true;
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  waker_.Wake();
}

void WalCheckpointer::Run() {
  SetThreadName("checkpoint");
  LetWakersRunOn();
  sqlite::SqliteHandle db;
  while (true) {
    waker_.Wait(Waker::kForever);
    if (stopping_) return;
    if (db == nullptr) {
      absl::StatusOr<sqlite::SqliteHandle> opened =
          sqlite::OpenSqlite(path_, SQLITE_OPEN_READWRITE, vfs_);
      // The first read finds out that there is a log.
      if (opened.ok() && sqlite::Execute(opened->get(),
                                         "PRAGMA synchronous=FULL;"
                                         "SELECT count(*) FROM sqlite_schema")
                             .ok()) {
        db = *std::move(opened);
      }
    }
    if (db != nullptr) Checkpoint(db.get());
    running_ = false;
  }
}

// What goes wrong shows when the writer itself reads or writes there.
void WalCheckpointer::Checkpoint(sqlite3* db) {
  int log = 0;
  int done = 0;
  const int code = sqlite3_wal_checkpoint_v2(db, nullptr, SQLITE_CHECKPOINT_PASSIVE, &log, &done);
  if (code != SQLITE_OK) return;
  // SQLite syncs the file only with the last page of the log, and that is the writer's.
  sqlite3_file* file = nullptr;
  sqlite3_file_control(db, nullptr, SQLITE_FCNTL_FILE_POINTER, &file);
  if (file == nullptr || file->pMethods == nullptr) return;
  if (file->pMethods->xSync(file, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY) != SQLITE_OK) return;
  done_pages_ = done;
}

}  // namespace viaduct
