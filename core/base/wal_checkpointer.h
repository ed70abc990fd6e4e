// Brings the log of a SQLite file (its WAL) back into the file while others go on writing.
//
// A checkpoint of a long log takes tens of milliseconds, in which the writer would commit nothing.
// So a thread of its own brings back most of it, and the writer what is left: only when all of it
// is back does the log begin anew. That thread does it in small parts while the log grows: what is
// committed meanwhile waits for the disk behind no more than one of them.
#pragma once

#include <atomic>
#include <string>
#include <thread>

#include "core/base/sqlite.h"
#include "core/base/waker.h"

namespace viaduct {

// Belongs to the thread that writes; it must go before the connection that writes is closed.
class WalCheckpointer {
 public:
  // `vfs` is empty for the default one. Opens nothing yet.
  WalCheckpointer(std::string path, std::string vfs);
  ~WalCheckpointer();  // Waits for the run that is under way.

  WalCheckpointer(const WalCheckpointer&) = delete;
  WalCheckpointer& operator=(const WalCheckpointer&) = delete;

  // After each commit, with the pages of log that there are. True: `limit` is reached and little is
  // left to do, the writer is to bring it back itself now. False: not now; a run beside the writer
  // may have begun.
  bool ShouldFinish(int log_pages, int limit);

 private:
  void Begin(int log_pages, int done);
  void Run();
  void Checkpoint(sqlite3* db);

  const std::string path_;
  const std::string vfs_;
  int last_pages_ = 0;
  bool restarted_ = false;  // The log began anew.
  bool ran_ = false;        // A run has ended since the writer last did it.
  int done_before_ = 0;     // `done_pages_` when that run began,
  int begun_pages_ = 0;     // and the pages of log.
  std::atomic<bool> running_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<int> done_pages_{0};  // Brought back since the log began.
  Waker waker_;
  std::thread thread_;  // From the first run on.
};

}  // namespace viaduct
