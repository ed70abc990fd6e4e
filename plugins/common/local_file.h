// The file on this machine that a road for files reads, and the digest of what it read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct evp_md_ctx_st;

namespace viaduct {

// Thread-compatible.
class Sha256 {
 public:
  Sha256();
  void Update(std::string_view octets);
  // 64 hexadecimal digits. The last call.
  std::string Hex();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

// Which file is meant, whatever its path leads to: as fstat tells. Both 0: any.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
};

// A regular file that is open for reading. Thread-compatible.
class LocalFile {
 public:
  // NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT for what is no regular file, a symbolic link
  // among it; ABORTED for another one than is meant; DATA_LOSS where the machine can not read it
  // now. Never waits for a pipe or a device.
  static absl::StatusOr<LocalFile> Open(const std::string& path, const FileIdentity& meant = {});

  LocalFile(LocalFile&& other) noexcept;
  LocalFile& operator=(LocalFile&& other) noexcept;
  ~LocalFile();

  // For who reads it by itself; open as long as this is.
  int fd() const { return fd_; }
  // As it is now.
  absl::StatusOr<uint64_t> Size() const;
  // Fills `size` octets from `offset` on. ABORTED: the file has become shorter than that; DATA_LOSS
  // as above.
  absl::Status Read(uint64_t offset, char* out, size_t size) const;

 private:
  LocalFile(int fd, std::string path);

  int fd_ = -1;
  std::string path_;
};

}  // namespace viaduct
