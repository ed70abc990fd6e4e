#include "core/receive/incoming_parts.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "core/base/descriptor.h"

namespace viaduct {
namespace {

constexpr absl::string_view kPartBegin = ".viaduct-";
constexpr absl::string_view kPartEnd = ".part";
constexpr const char* kPartial = ".viaduct-partial";
constexpr size_t kMaxNames = 10'000;  // Of one folder in one look.
constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

std::vector<std::string> NamesIn(int folder, const std::function<bool(absl::string_view)>& wanted) {
  std::vector<std::string> names;
  DIR* const stream = ::fdopendir(::openat(folder, ".", kFolderFlags));
  if (stream == nullptr) return names;
  while (const dirent* entry = ::readdir(stream)) {
    if (!wanted(entry->d_name)) continue;
    names.emplace_back(entry->d_name);
    if (names.size() == kMaxNames) break;
  }
  ::closedir(stream);
  return names;
}

// True: the file was that old, and is gone.
bool RemoveOld(int folder, const std::string& name, int64_t before_ns) {
  struct stat info {};
  if (::fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return false;
  const int64_t changed = info.st_ctim.tv_sec * int64_t{1'000'000'000} + info.st_ctim.tv_nsec;
  if (S_ISDIR(info.st_mode) || changed >= before_ns) return false;
  return ::unlinkat(folder, name.c_str(), 0) == 0;
}

size_t RemovePartial(int parent, int64_t before_ns) {
  const Descriptor folder(::openat(parent, kPartial, kFolderFlags));
  if (folder.get() < 0) return 0;
  size_t removed = 0;
  const auto any = [](absl::string_view name) { return name != "." && name != ".."; };
  for (const std::string& name : NamesIn(folder.get(), any)) {
    removed += RemoveOld(folder.get(), name, before_ns) ? 1 : 0;
  }
  // One that is not empty stays.
  if (removed > 0) ::unlinkat(parent, kPartial, AT_REMOVEDIR);
  return removed;
}

bool IsPart(absl::string_view name) {
  return absl::StartsWith(name, kPartBegin) && absl::EndsWith(name, kPartEnd);
}

}  // namespace

size_t RemoveOldParts(const IncomingFolder& folder, absl::Time before) {
  const int64_t before_ns = absl::ToUnixNanos(before);
  size_t removed = 0;
  IncomingVisitor visitor;
  visitor.folder = [&](const std::string& name, int descriptor) {
    if (name.empty()) return;  // The root is the server's own.
    for (const std::string& part : NamesIn(descriptor, IsPart)) {
      removed += RemoveOld(descriptor, part, before_ns) ? 1 : 0;
    }
    removed += RemovePartial(descriptor, before_ns);
  };
  folder.Scan("", visitor);
  return removed;
}

}  // namespace viaduct
