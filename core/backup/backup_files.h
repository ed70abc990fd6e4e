// Files of a backup: copied with their digest, shared where they never change, walked in one order.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/backup/pace.h"

namespace viaduct::backup {

inline constexpr int kMaxDepth = 32;  // Of folders below a backup.

struct FileSum {
  uint64_t bytes = 0;
  std::string sha256;  // 64 hexadecimal digits.
};

// A new file of mode 0600 with the time of `from`, synced. NOT_FOUND: there is no `from` any more;
// INVALID_ARGUMENT: it is no regular file; RESOURCE_EXHAUSTED: no room.
absl::StatusOr<FileSum> CopyFile(const std::string& from, const std::string& to, Pace* pace);

absl::StatusOr<FileSum> DigestFile(const std::string& path, Pace* pace);

// For a file that is replaced but never changed: `to` becomes a link to `previous` where that has
// the same size and time, else a clone of `from`, a link to it or a copy, whichever the file
// systems can do first. `previous` may be "".
absl::Status ShareFile(const std::string& from, const std::string& to, const std::string& previous,
                       Pace* pace);

// True: both names are one file.
bool IsSameFile(const std::string& a, const std::string& b);

// 0700, with its parents.
absl::Status MakeFolders(const std::string& path);
absl::Status SyncFolder(const std::string& path);
// With all below it; OK where there is none.
absl::Status RemoveTree(const std::string& path);

// Regular files below `root`, by their name below it, in the order of PathLess. `left` may be null;
// it is called for each folder after what is in it, "" for the root. Anything else that lies there
// is looked past where that is said, and else an error of INVALID_ARGUMENT.
using FileFn = std::function<absl::Status(const std::string& name)>;
struct Walk {
  FileFn file;
  FileFn left;
  bool looks_past_others = false;
};
absl::Status WalkFiles(const std::string& root, const Walk& walk);

// By components: "a/b" before "a-b".
bool PathLess(std::string_view a, std::string_view b);

// Relative, without empty components, "." and "..", line breaks and octet 0.
bool IsSafeName(std::string_view name);

}  // namespace viaduct::backup
