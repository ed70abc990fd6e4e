#include "core/store/image_paths.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/string_view.h"
#include "core/store/image_data.h"

namespace viaduct::image_paths {
namespace {

constexpr size_t kPathParts = 6;

bool IsSafePart(std::string_view part) {
  if (part.empty() || part.size() > 2 * kMaxNameBytes || part.front() == '.') return false;
  return std::all_of(part.begin(), part.end(), [](char c) { return IsPlain(c) || c == '='; });
}

}  // namespace

absl::Status DiskError(std::string_view what, const std::string& path) {
  const int error = errno;
  const std::string text =
      absl::StrCat("images: ", AbslView(what), " ", path, ", ", std::strerror(error));
  return error == ENOSPC || error == EDQUOT ? absl::ResourceExhaustedError(text)
                                            : absl::UnavailableError(text);
}

absl::Status SyncFolder(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return DiskError("cannot open", path);
  const absl::Status status = fsync(fd) == 0 ? absl::OkStatus() : DiskError("cannot sync", path);
  close(fd);
  return status;
}

bool IsPlain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.';
}

bool IsImagePath(std::string_view path) {
  if (path.size() > kMaxPathBytes || ImageContentType(path).empty()) return false;
  const std::vector<absl::string_view> parts = absl::StrSplit(AbslView(path), '/');
  return parts.size() == kPathParts &&
         std::all_of(parts.begin(), parts.end(),
                     [](absl::string_view part) { return IsSafePart(StdView(part)); });
}

}  // namespace viaduct::image_paths
