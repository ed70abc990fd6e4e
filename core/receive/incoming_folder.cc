#include "core/receive/incoming_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/disk_files.h"
#include "core/base/ids.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/transfer/remote_name.h"

namespace viaduct {
namespace {

constexpr absl::string_view kOurs = ".viaduct";
constexpr const char* kAside = ".viaduct-aside";
constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

absl::Status Failed(std::string_view path, const char* what, int error) {
  const std::string text =
      absl::StrCat("incoming: ", what, " ", AbslView(path), ", ", std::strerror(error));
  if (error == ENOENT) return absl::NotFoundError(text);
  if (error == ELOOP || error == ENOTDIR || error == EACCES || error == EPERM) {
    return absl::PermissionDeniedError(text);
  }
  if (error == ENOSPC || error == EDQUOT) return absl::ResourceExhaustedError(text);
  return absl::UnavailableError(text);
}

std::string Below(const std::string& folder, const char* base) {
  return folder.empty() ? std::string(base) : absl::StrCat(folder, "/", base);
}

absl::Status CheckSize(const IncomingAnnouncement& announced, uint64_t size) {
  if (size == announced.size) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("size: announced ", announced.size, ", the file has ", size));
}

absl::Status CheckDigest(const IncomingAnnouncement& announced, const FileDigest& found) {
  VD_RETURN_IF_ERROR(CheckSize(announced, found.size));
  if (!absl::EqualsIgnoreCase(found.sha256, announced.sha256)) {
    return absl::DataLossError(
        absl::StrCat("sha256: announced ", announced.sha256, ", the file has ", found.sha256));
  }
  return absl::OkStatus();
}

IncomingEntry EntryOf(std::string name, const struct stat& info) {
  IncomingEntry entry;
  entry.name = std::move(name);
  entry.size = static_cast<uint64_t>(info.st_size);
  entry.modified_ns = info.st_mtim.tv_sec * int64_t{1'000'000'000} + info.st_mtim.tv_nsec;
  entry.changed_ns = info.st_ctim.tv_sec * int64_t{1'000'000'000} + info.st_ctim.tv_nsec;
  entry.inode = info.st_ino;
  return entry;
}

}  // namespace

struct IncomingFolder::Walk {
  const IncomingVisitor* visitor = nullptr;
  IncomingScan result;
  size_t left = 0;   // Entries of this device that are still looked at.
  bool cut = false;  // It has more.
};

absl::StatusOr<std::unique_ptr<IncomingFolder>> IncomingFolder::Open(
    const IncomingFolderOptions& options) {
  auto folder = absl::WrapUnique(new IncomingFolder(options));
  for (const std::string& path : {options.root, folder->AsidePath()}) {
    if (::mkdir(path.c_str(), 0750) != 0 && errno != EEXIST) {
      return Failed(path, "cannot create", errno);
    }
  }
  VD_RETURN_IF_ERROR(folder->OpenFolder("").status());
  return folder;
}

std::string IncomingFolder::AsidePath() const { return absl::StrCat(options_.root, "/", kAside); }

absl::StatusOr<LocalFile> IncomingFolder::OpenFile(std::string_view name) const {
  VD_RETURN_IF_ERROR(CheckRemoteName(name));
  const std::string path = absl::StrCat(options_.root, "/", BelowRoot(name));
  VD_ASSIGN_OR_RETURN(LocalFile file, OpenBelow({options_.root}, path));
  return file;
}

// Where a name is: a device may have a root of its own around its folder.
std::string IncomingFolder::BelowRoot(std::string_view name) const {
  if (options_.inside.empty() || name.empty()) return std::string(name);
  const std::string_view device = name.substr(0, name.find('/'));
  return absl::StrCat(AbslView(device), "/", options_.inside, "/", AbslView(name));
}

absl::StatusOr<IncomingEntry> IncomingFolder::Look(std::string_view name) const {
  VD_ASSIGN_OR_RETURN(const LocalFile file, OpenFile(name));
  struct stat info {};
  if (::fstat(file.descriptor->get(), &info) != 0) return Failed(name, "cannot look at", errno);
  return EntryOf(std::string(name), info);
}

absl::Status IncomingFolder::Verify(const IncomingAnnouncement& announcement) const {
  VD_ASSIGN_OR_RETURN(const LocalFile file, OpenFile(announcement.name));
  VD_RETURN_IF_ERROR(CheckSize(announcement, file.size));
  VD_ASSIGN_OR_RETURN(const FileDigest digest, DigestOf(file));
  return CheckDigest(announcement, digest);
}

absl::Status IncomingFolder::CopyVerified(const IncomingAnnouncement& announcement,
                                          const OwnedFolder& folder, const std::string& id) const {
  VD_ASSIGN_OR_RETURN(const LocalFile file, OpenFile(announcement.name));
  VD_RETURN_IF_ERROR(CheckSize(announcement, file.size));
  VD_ASSIGN_OR_RETURN(const FileDigest digest, folder.Take(file, id, TakeMode::kCopy));
  const absl::Status same = CheckDigest(announcement, digest);
  if (same.ok()) return same;
  VD_RETURN_IF_ERROR(folder.Remove(id));
  return same;
}

// Through no link, wherever a component stands.
absl::StatusOr<std::unique_ptr<Descriptor>> IncomingFolder::OpenFolder(
    std::string_view name) const {
  auto at = std::make_unique<Descriptor>(
      ::open(options_.root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (at->get() < 0) return Failed(options_.root, "cannot open", errno);
  const std::string below = BelowRoot(name);
  for (const absl::string_view part : absl::StrSplit(below, '/', absl::SkipEmpty())) {
    if (part == "." || part == "..") return absl::PermissionDeniedError("incoming: a way out");
    auto next =
        std::make_unique<Descriptor>(::openat(at->get(), std::string(part).c_str(), kFolderFlags));
    if (next->get() < 0) return Failed(name, "cannot open", errno);
    at = std::move(next);
  }
  return at;
}

absl::Status IncomingFolder::SetAside(std::string_view name, const std::string& id) const {
  VD_RETURN_IF_ERROR(CheckRemoteName(name));
  if (!IsUuid(id)) return absl::InvalidArgumentError("incoming: transfer_id: no UUID");
  VD_RETURN_IF_ERROR(TrimAside());
  const size_t slash = name.rfind('/');
  const bool inside = slash != std::string_view::npos;
  absl::StatusOr<std::unique_ptr<Descriptor>> parent =
      OpenFolder(inside ? name.substr(0, slash) : std::string_view());
  if (absl::IsNotFound(parent.status())) return absl::OkStatus();
  VD_RETURN_IF_ERROR(parent.status());
  const std::string base(inside ? name.substr(slash + 1) : name);
  const std::string target = absl::StrCat(AsidePath(), "/", id);
  if (::renameat((*parent)->get(), base.c_str(), AT_FDCWD, target.c_str()) != 0) {
    return errno == ENOENT ? absl::OkStatus() : Failed(name, "cannot set aside", errno);
  }
  if (::fsync((*parent)->get()) != 0) return Failed(name, "cannot sync the folder of", errno);
  return disk::SyncDirectoryOf(target);
}

// A device that sends nothing but wrong files does not fill the disk with them.
absl::Status IncomingFolder::TrimAside() const {
  size_t count = 0;
  int64_t when = std::numeric_limits<int64_t>::max();
  std::filesystem::path oldest;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(AsidePath(), error)) {
    struct stat info {};
    if (::lstat(entry.path().c_str(), &info) != 0) continue;
    ++count;
    const int64_t moved = info.st_ctim.tv_sec * int64_t{1'000'000'000} + info.st_ctim.tv_nsec;
    if (moved >= when) continue;
    when = moved;
    oldest = entry.path();
  }
  // The device may have put a folder in the place of its file at the last moment.
  if (!error && count >= kMaxAside) std::filesystem::remove_all(oldest, error);
  if (error) return Failed(AsidePath(), "cannot trim", error.value());
  return absl::OkStatus();
}

absl::Status IncomingFolder::Remove(const IncomingEntry& entry) const {
  if (!entry.odd) VD_RETURN_IF_ERROR(CheckRemoteName(entry.name));
  const std::vector<std::string> parts = absl::StrSplit(entry.name, '/');
  const std::string& base = parts.back();
  if (base.empty() || base == "." || base == "..") {
    return absl::PermissionDeniedError("incoming: a way out");
  }
  absl::StatusOr<std::unique_ptr<Descriptor>> parent =
      OpenFolder(entry.name.substr(0, entry.name.size() - base.size()));
  if (absl::IsNotFound(parent.status())) return absl::OkStatus();
  VD_RETURN_IF_ERROR(parent.status());
  struct stat info {};
  if (::fstatat((*parent)->get(), base.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? absl::OkStatus() : Failed(entry.name, "cannot look at", errno);
  }
  const IncomingEntry now = EntryOf(entry.name, info);
  if (now.inode != entry.inode || now.changed_ns != entry.changed_ns) {
    return absl::AbortedError(absl::StrCat("incoming: was changed, ", entry.name));
  }
  if (::unlinkat((*parent)->get(), base.c_str(), 0) != 0 && errno != ENOENT) {
    return Failed(entry.name, "cannot remove", errno);
  }
  RemoveEmptyFolders(parts);
  return absl::OkStatus();
}

// Of the names of a file that is gone, from the last to the second. One that is not empty, and what
// is above it, stays.
void IncomingFolder::RemoveEmptyFolders(const std::vector<std::string>& parts) const {
  for (size_t depth = parts.size() - 1; depth > 1; --depth) {
    const std::string above = absl::StrJoin(parts.begin(), parts.begin() + depth - 1, "/");
    const absl::StatusOr<std::unique_ptr<Descriptor>> parent = OpenFolder(above);
    if (!parent.ok()) return;
    if (::unlinkat((*parent)->get(), parts[depth - 1].c_str(), AT_REMOVEDIR) != 0) return;
  }
}

IncomingScan IncomingFolder::Scan(const std::string& from, const IncomingVisitor& visitor) const {
  Walk walk;
  walk.visitor = &visitor;
  walk.left = options_.max_entries_per_device;
  const absl::StatusOr<std::unique_ptr<Descriptor>> folder = OpenFolder(from);
  if (!folder.ok()) {
    walk.result.complete = absl::IsNotFound(folder.status());
    return walk.result;
  }
  const std::vector<absl::string_view> parts = absl::StrSplit(from, '/', absl::SkipEmpty());
  ScanFolder(from, (*folder)->get(), static_cast<int>(parts.size()), &walk);
  return walk.result;
}

void IncomingFolder::ScanFolder(const std::string& name, int descriptor, int depth,
                                Walk* walk) const {
  if (walk->visitor->folder) walk->visitor->folder(name, descriptor);
  // A position of its own: the stream closes what it is given.
  DIR* const stream = ::fdopendir(::openat(descriptor, ".", kFolderFlags));
  if (stream == nullptr) {
    walk->result.complete = false;
    return;
  }
  const bool is_root = name.empty();
  errno = 0;
  while (const dirent* entry = ::readdir(stream)) {
    const absl::string_view base = entry->d_name;
    const bool ours = absl::StartsWith(base, kOurs);
    if (base == "." || base == ".." || (ours && is_root)) continue;
    if (is_root) {
      walk->left = options_.max_entries_per_device;
      walk->cut = false;
    } else if (walk->left == 0) {
      walk->cut = true;
      break;
    } else {
      --walk->left;
    }
    const std::string below = Below(name, entry->d_name);
    if (ours) {
      ScanOdd(below, descriptor, entry->d_name, depth + 1, walk);
    } else {
      ScanEntry(below, descriptor, entry->d_name, depth + 1, walk);
    }
    if (is_root && walk->cut && walk->result.cut.size() < kMaxCut) {
      walk->result.cut.emplace_back(base);
    }
    errno = 0;
  }
  if (errno != 0) walk->result.complete = false;
  ::closedir(stream);
}

void IncomingFolder::ScanEntry(const std::string& name, int parent, const char* base, int depth,
                               Walk* walk) const {
  struct stat info {};
  if (::fstatat(parent, base, &info, AT_SYMLINK_NOFOLLOW) != 0) return;  // Gone meanwhile.
  const bool allowed = depth <= kMaxDepth && CheckRemoteName(name).ok();
  if (allowed && S_ISDIR(info.st_mode) && depth == 1 && !options_.inside.empty()) {
    const absl::StatusOr<std::unique_ptr<Descriptor>> own = OpenFolder(name);
    // A device that has sent nothing yet has no folder in its root.
    if (!own.ok()) {
      walk->result.complete = walk->result.complete && absl::IsNotFound(own.status());
      return;
    }
    return ScanFolder(name, (*own)->get(), depth, walk);
  }
  if (allowed && S_ISDIR(info.st_mode)) {
    const Descriptor folder(::openat(parent, base, kFolderFlags));
    if (folder.get() < 0) {
      walk->result.complete = walk->result.complete && errno == ENOENT;
      return;
    }
    return ScanFolder(name, folder.get(), depth, walk);
  }
  if (!allowed || depth < 2 || !S_ISREG(info.st_mode)) {
    ++walk->result.ignored;
    if (depth >= 2) ScanOdd(name, parent, base, depth, walk);
    return;
  }
  ++walk->result.files;
  if (walk->visitor->file) walk->visitor->file(EntryOf(name, info));
}

void IncomingFolder::ScanOdd(const std::string& name, int parent, const char* base, int depth,
                             Walk* walk) const {
  struct stat info {};
  if (!walk->visitor->odd || depth > kMaxOddDepth) return;
  if (::fstatat(parent, base, &info, AT_SYMLINK_NOFOLLOW) != 0) return;  // Gone meanwhile.
  if (S_ISDIR(info.st_mode)) {
    const Descriptor folder(::openat(parent, base, kFolderFlags));
    if (folder.get() >= 0) ScanOddFolder(name, folder.get(), depth, walk);
  } else if (S_ISREG(info.st_mode)) {
    IncomingEntry entry = EntryOf(name, info);
    entry.odd = true;
    walk->visitor->odd(entry);
  }
}

void IncomingFolder::ScanOddFolder(const std::string& name, int descriptor, int depth,
                                   Walk* walk) const {
  DIR* const stream = ::fdopendir(::openat(descriptor, ".", kFolderFlags));
  if (stream == nullptr) return;
  while (const dirent* entry = ::readdir(stream)) {
    const absl::string_view base = entry->d_name;
    if (base == "." || base == "..") continue;
    walk->cut = walk->cut || walk->left == 0;
    if (walk->cut) break;
    --walk->left;
    ScanOdd(Below(name, entry->d_name), descriptor, entry->d_name, depth + 1, walk);
  }
  ::closedir(stream);
}

}  // namespace viaduct
