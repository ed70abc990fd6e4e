// What durable queues need of files beside SQLite: durable renames, the lock, the space reserve.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace viaduct::disk {

bool FileExists(const std::string& path);
int64_t FileSize(const std::string& path);  // 0 when there is none.
// Of the file system that holds `path`, for this user; the largest number when it does not say.
int64_t FreeBytes(const std::string& path);
absl::Status RemoveFile(const std::string& path);  // OK when there is none.
// The first `size` bytes, padded with zeros where the file is shorter.
absl::StatusOr<std::string> ReadStart(const std::string& path, size_t size);
absl::Status SyncFile(const std::string& path);
absl::Status SyncDirectoryOf(const std::string& path);
// Replaces `to`. The directory is not synced: several renames share one sync.
absl::Status RenameFile(const std::string& from, const std::string& to);

// Holds `path` locked against other processes (and other queues of this one). Thread-compatible.
class LockFile {
 public:
  // FAILED_PRECONDITION when somebody else has it.
  static absl::StatusOr<LockFile> Acquire(const std::string& path);
  LockFile() = default;
  LockFile(LockFile&& other) noexcept;
  LockFile& operator=(LockFile&& other) noexcept;
  ~LockFile();

 private:
  explicit LockFile(int fd) : fd_(fd) {}
  int fd_ = -1;
};

// Space that is given up when the disk is full, so that removing messages still works then.
// Thread-compatible.
class SpaceReserve {
 public:
  SpaceReserve(std::string path, int64_t bytes);
  // True: the space is held. False: the disk has no room for it.
  bool Ensure();
  void Release();
  bool held() const { return held_; }

 private:
  const std::string path_;
  const int64_t bytes_;
  bool held_ = false;
};

}  // namespace viaduct::disk
