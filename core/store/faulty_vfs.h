// A SQLite VFS for tests that fails writes and syncs on demand.
#pragma once

#include <sqlite3.h>

#include <atomic>

namespace viaduct {

// Registers itself as the default VFS for as long as it lives; only files opened meanwhile are
// affected. Thread-safe.
class FaultyVfs {
 public:
  FaultyVfs();
  ~FaultyVfs();
  FaultyVfs(const FaultyVfs&) = delete;
  FaultyVfs& operator=(const FaultyVfs&) = delete;

  // SQLITE_OK, or what every write from now on answers: SQLITE_FULL, SQLITE_IOERR_WRITE.
  void FailWrites(int code) { write_code_ = code; }
  void FailSyncs(int code) { sync_code_ = code; }

 private:
  struct File;
  static sqlite3_file* Inner(sqlite3_file* file);
  static int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out);
  static int Write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset);
  static int Sync(sqlite3_file* file, int flags);

  sqlite3_vfs* const real_;
  sqlite3_vfs vfs_;
  sqlite3_io_methods methods_{};
  std::atomic<int> write_code_{SQLITE_OK};
  std::atomic<int> sync_code_{SQLITE_OK};
};

}  // namespace viaduct
