// The machine that is set up: this one, or an image of one in a folder.
#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/statusor.h"

namespace viaduct::setup {

// A file as it lies there.
struct FileState {
  bool exists = false;
  std::string text;
  mode_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};

inline constexpr size_t kMaxSetupFile = 4u << 20;

// Thread-compatible.
class Root {
 public:
  // FAILED_PRECONDITION when there is no such folder.
  static absl::StatusOr<Root> Open(const std::string& folder);

  bool is_system() const { return folder_.empty(); }
  // Without a slash at its end, so "" for this machine.
  const std::string& folder() const { return folder_; }

  // Where `path` of that machine lies. FAILED_PRECONDITION when links lead out of the folder.
  absl::StatusOr<std::string> Inside(const std::string& path) const;
  bool Has(const std::string& path) const;

  // Of its own accounts, not of ours. NOT_FOUND.
  absl::StatusOr<uid_t> User(const std::string& name) const;
  absl::StatusOr<gid_t> Group(const std::string& name) const;

  // FAILED_PRECONDITION when it is no regular file, RESOURCE_EXHAUSTED when it is too large.
  absl::StatusOr<FileState> Read(const std::string& path) const;
  // Replaces it; after a crash it is the old one or the new one, with the owner that belongs to it.
  absl::Status Write(const std::string& path, const FileState& state) const;
  absl::Status Remove(const std::string& path) const;

 private:
  explicit Root(std::string folder) : folder_(std::move(folder)) {}
  std::string folder_;
};

}  // namespace viaduct::setup
