// A file of a folder into which others write.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace viaduct::hailo_lpr {

// Which file it was and how it was, so that no other one is taken for it.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  int64_t size = 0;
  int64_t changed_ns = 0;  // Its content, by the clock of the day.

  bool operator==(const FileIdentity& other) const {
    return device == other.device && inode == other.inode && size == other.size &&
           changed_ns == other.changed_ns;
  }
};

struct PictureFile {
  FileIdentity identity;
  std::string octets;
};

// Names that pictures have: .jpg, .jpeg or .png, and no dot in front.
bool IsPictureName(const std::string& name);

// NOT_FOUND: it is gone; UNAVAILABLE: it changes, or cannot be read now; PERMISSION_DENIED;
// INVALID_ARGUMENT: no regular file, or larger than `max_bytes`. Follows no link and waits for no
// pipe.
absl::StatusOr<PictureFile> ReadPictureFile(int folder, const std::string& name, size_t max_bytes);

// The identity of what stands there now. NOT_FOUND: nothing.
absl::StatusOr<FileIdentity> IdentityOf(int folder, const std::string& name);

// Only if it is still that file: ABORTED otherwise.
absl::Status RemoveFile(int folder, const std::string& name, const FileIdentity& identity);
// The same; where the name is taken in `to`, it gets a number. Never replaces a file.
absl::Status MoveFile(int folder, const std::string& name, const FileIdentity& identity, int to);

}  // namespace viaduct::hailo_lpr
