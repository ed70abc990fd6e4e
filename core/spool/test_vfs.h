// A SQLite VFS for tests: passes everything on to the real one, notes every write, sync, truncate
// and delete, and fails on command.
#pragma once

#include <sqlite3.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"

namespace viaduct {

struct VfsEvent {
  enum class Kind : uint8_t { kWrite, kTruncate, kSync, kDelete, kMark };
  Kind kind = Kind::kMark;
  std::string path;
  int64_t offset = 0;  // Of a write; the size after a truncate.
  std::string data;    // Of a write; the text of a mark.
};

// Thread-safe. Registered while it lives; one at a time per name.
class TestVfs {
 public:
  explicit TestVfs(const char* name);
  ~TestVfs();
  TestVfs(const TestVfs&) = delete;
  TestVfs& operator=(const TestVfs&) = delete;

  const char* name() const { return name_.c_str(); }

  void StartRecording();
  // Something that happened between the events, in the same order.
  void Mark(const std::string& text);
  std::vector<VfsEvent> Events() const;

  // A SQLite result code for every write (sync) from now on; 0: no failure.
  void FailWrites(int code) { fail_writes_ = code; }
  void FailSyncs(int code) { fail_syncs_ = code; }
  // Reads of database pages come back with a flipped byte.
  void DamageReads(bool damage) { damage_reads_ = damage; }

 private:
  struct File;
  static int Open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out);
  static int Delete(sqlite3_vfs* vfs, const char* path, int sync_directory);
  static int Close(sqlite3_file* file);
  static int Read(sqlite3_file* file, void* data, int size, sqlite3_int64 offset);
  static int Write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset);
  static int Truncate(sqlite3_file* file, sqlite3_int64 size);
  static int Sync(sqlite3_file* file, int flags);
  void Note(VfsEvent event);

  const std::string name_;
  sqlite3_vfs* const real_;
  sqlite3_vfs vfs_;
  std::atomic<int> fail_writes_{0};
  std::atomic<int> fail_syncs_{0};
  std::atomic<bool> damage_reads_{false};
  mutable absl::Mutex mutex_;
  bool recording_ = false;
  std::vector<VfsEvent> events_;
};

}  // namespace viaduct
