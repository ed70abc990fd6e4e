#include "core/transfer/local_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/crash_point.h"
#include "core/base/disk_files.h"
#include "core/base/ids.h"
#include "core/base/status_macros.h"

namespace viaduct {
namespace {

constexpr size_t kBlockBytes = 256 << 10;
constexpr char kPart[] = ".part";

absl::Status Failed(const std::string& path, const char* what, int error) {
  const std::string text = absl::StrCat(path, ": ", what, ", ", std::strerror(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(text);
    case EACCES:
    case EPERM:
    case ELOOP:
      return absl::PermissionDeniedError(text);
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(text);
    default:
      return absl::UnavailableError(text);
  }
}

// What lies below `root`, "" where `path` does not.
std::string_view Inside(const std::string& root, std::string_view path) {
  std::string_view folder = root;
  while (folder.size() > 1 && folder.back() == '/') folder.remove_suffix(1);
  if (folder.empty() || path.size() <= folder.size() + 1) return "";
  if (path.substr(0, folder.size()) != folder) return "";
  if (folder != "/" && path[folder.size()] != '/') return "";
  return path.substr(folder == "/" ? 1 : folder.size() + 1);
}

absl::StatusOr<std::unique_ptr<Descriptor>> Walk(const std::string& root, std::string_view inside,
                                                 const std::string& path) {
  auto at = std::make_unique<Descriptor>(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (at->get() < 0) return Failed(root, "cannot open", errno);
  const std::vector<std::string> parts =
      absl::StrSplit(absl::string_view(inside.data(), inside.size()), '/');
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].empty() || parts[i] == "." || parts[i] == "..") {
      return absl::PermissionDeniedError(
          absl::StrCat(path, ": a component that is empty, . or .."));
    }
    const bool last = i + 1 == parts.size();
    const int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (last ? O_NONBLOCK : O_DIRECTORY);
    auto next = std::make_unique<Descriptor>(::openat(at->get(), parts[i].c_str(), flags));
    if (next->get() < 0) return Failed(path, "cannot open", errno);
    at = std::move(next);
  }
  return at;
}

FileStamp StampOf(const struct stat& info) {
  FileStamp stamp;
  stamp.device = info.st_dev;
  stamp.inode = info.st_ino;
  stamp.size = static_cast<uint64_t>(info.st_size);
  stamp.modified_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
  return stamp;
}

bool Same(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
         a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

// Hands every block to `each` and gives the digest of all; the file must not change meanwhile.
template <typename EachFn>
absl::StatusOr<FileDigest> Read(const LocalFile& file, EachFn each) {
  struct stat before {};
  struct stat after {};
  if (fstat(file.descriptor->get(), &before) != 0) return Failed(file.path, "cannot read", errno);
  FileDigest digest;
  Sha256Stream stream;
  std::string block(kBlockBytes, '\0');
  while (true) {
    if (file.stop != nullptr && file.stop->load()) {
      return absl::UnavailableError(absl::StrCat(file.path, ": not read to its end, we stop"));
    }
    const ssize_t got = ::pread(file.descriptor->get(), block.data(), block.size(),
                                static_cast<off_t>(digest.size));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Failed(file.path, "cannot read", errno);
    if (got == 0) break;
    const std::string_view octets(block.data(), static_cast<size_t>(got));
    stream.Add(octets);
    VD_RETURN_IF_ERROR(each(octets));
    digest.size += octets.size();
  }
  if (fstat(file.descriptor->get(), &after) != 0 || !Same(before, after) ||
      digest.size != static_cast<uint64_t>(after.st_size)) {
    return absl::AbortedError(absl::StrCat(file.path, ": was changed while it was read"));
  }
  digest.sha256 = stream.Hex();
  return digest;
}

}  // namespace

absl::StatusOr<LocalFile> OpenBelow(const std::vector<std::string>& roots,
                                    const std::string& path) {
  if (path.empty() || path[0] != '/' || path.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("path: not absolute, \"", path, "\""));
  }
  for (const std::string& root : roots) {
    const std::string_view inside = Inside(root, path);
    if (inside.empty()) continue;
    LocalFile file;
    file.path = path;
    VD_ASSIGN_OR_RETURN(file.descriptor, Walk(root, inside, path));
    struct stat info {};
    if (fstat(file.descriptor->get(), &info) != 0) return Failed(path, "cannot read", errno);
    if (!S_ISREG(info.st_mode)) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file"));
    }
    file.size = static_cast<uint64_t>(info.st_size);
    file.stamp = StampOf(info);
    return file;
  }
  return absl::PermissionDeniedError(
      absl::StrCat(path, ": not below one of transfers.roots of this node"));
}

absl::Status CheckStillThere(const LocalFile& file) {
  struct stat info {};
  if (lstat(file.path.c_str(), &info) == 0 && StampOf(info).SameFile(file.stamp)) {
    return absl::OkStatus();
  }
  return absl::NotFoundError(absl::StrCat(file.path, ": has gone while it was taken"));
}

absl::StatusOr<FileDigest> DigestOf(const LocalFile& file) {
  return Read(file, [](std::string_view) { return absl::OkStatus(); });
}

absl::Status RemoveIfSame(const std::string& path, const FileStamp& stamp) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT || errno == ENOTDIR ? absl::OkStatus()
                                               : Failed(path, "cannot look at", errno);
  }
  if (!S_ISREG(info.st_mode) || !(StampOf(info) == stamp)) return absl::OkStatus();
  return disk::RemoveFile(path);
}

IncomingFile::IncomingFile(std::string folder, std::string name, int descriptor,
                           uint64_t min_free_bytes)
    : folder_(std::move(folder)),
      name_(std::move(name)),
      descriptor_(descriptor),
      min_free_bytes_(min_free_bytes) {}

IncomingFile::~IncomingFile() {
  if (!finished_) ::unlink(absl::StrCat(folder_, "/", name_, kPart).c_str());
}

absl::Status IncomingFile::CheckSpace() {
  if (digest_.size != 0 && digest_.size < looked_at_ + kLookEvery) return absl::OkStatus();
  looked_at_ = digest_.size;
  const int64_t free = disk::FreeBytes(folder_);
  if (free >= 0 && static_cast<uint64_t>(free) > min_free_bytes_) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("less free on the disk than min_free_bytes allows, ", free));
}

absl::Status IncomingFile::Write(std::string_view octets) {
  VD_RETURN_IF_ERROR(CheckSpace());
  stream_.Add(octets);
  digest_.size += octets.size();
  while (!octets.empty()) {
    const ssize_t written = ::write(descriptor_.get(), octets.data(), octets.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed(absl::StrCat(folder_, "/", name_), "cannot write", errno);
    octets.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::StatusOr<FileDigest> IncomingFile::Finish() {
  const std::string path = absl::StrCat(folder_, "/", name_);
  if (::fsync(descriptor_.get()) != 0) return Failed(path, "cannot sync", errno);
  VD_CRASH_POINT("transfer.file.synced");
  if (::rename((path + kPart).c_str(), path.c_str()) != 0) {
    return Failed(path, "cannot rename", errno);
  }
  finished_ = true;
  VD_CRASH_POINT("transfer.file.renamed");
  VD_RETURN_IF_ERROR(disk::SyncDirectoryOf(path));
  digest_.sha256 = stream_.Hex();
  return digest_;
}

FileDigest IncomingFile::Digest() {
  digest_.sha256 = stream_.Hex();
  return digest_;
}

absl::StatusOr<std::unique_ptr<OwnedFolder>> OwnedFolder::Open(const std::string& path,
                                                               uint64_t min_free_bytes) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return Failed(path, "cannot make the folder", errno);
  }
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    if (!absl::EndsWith(entry.path().filename().string(), kPart)) continue;
    VD_RETURN_IF_ERROR(disk::RemoveFile(entry.path()));
  }
  if (error) return absl::UnavailableError(absl::StrCat(path, ": ", error.message()));
  VD_RETURN_IF_ERROR(disk::SyncDirectoryOf(path));
  return absl::WrapUnique(new OwnedFolder(path, min_free_bytes));
}

absl::Status OwnedFolder::HasSpace(uint64_t bytes) const {
  const int64_t free = disk::FreeBytes(path_);
  const uint64_t left = free < 0 ? 0 : static_cast<uint64_t>(free);
  if (left >= min_free_bytes_ && left - min_free_bytes_ >= bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("no room on the disk for ", bytes, " bytes, ",
                                                   left, " are free and min_free_bytes is ",
                                                   min_free_bytes_));
}

absl::StatusOr<std::unique_ptr<IncomingFile>> OwnedFolder::Begin(const std::string& id) const {
  const std::string part = PathOf(id) + kPart;
  const int descriptor =
      ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0 && errno == EEXIST) {
    return absl::AbortedError(
        absl::StrCat("transfers: the same file is being taken in already, ", id));
  }
  if (descriptor < 0) return Failed(part, "cannot create", errno);
  auto file = absl::WrapUnique(new IncomingFile(path_, id, descriptor, min_free_bytes_));
  VD_RETURN_IF_ERROR(file->CheckSpace());
  return file;
}

absl::StatusOr<FileDigest> OwnedFolder::Take(const LocalFile& file, const std::string& id,
                                             TakeMode mode) const {
  if (mode == TakeMode::kLink) {
    absl::StatusOr<FileDigest> linked = Link(file, id);
    if (linked.ok() || !absl::IsUnimplemented(linked.status())) return linked;
  }
  VD_ASSIGN_OR_RETURN(std::unique_ptr<IncomingFile> copy, Begin(id));
  VD_ASSIGN_OR_RETURN(const FileDigest digest,
                      Read(file, [&](std::string_view octets) { return copy->Write(octets); }));
  VD_RETURN_IF_ERROR(copy->Finish().status());
  return digest;
}

// UNIMPLEMENTED: on another file system, or not allowed there.
absl::StatusOr<FileDigest> OwnedFolder::Link(const LocalFile& file, const std::string& id) const {
  const std::string path = PathOf(id);
  const std::string by_descriptor = absl::StrCat("/proc/self/fd/", file.descriptor->get());
  ::unlink(path.c_str());
  if (::linkat(AT_FDCWD, by_descriptor.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    return absl::UnimplementedError(std::strerror(errno));
  }
  absl::StatusOr<FileDigest> digest = DigestOf(file);
  if (digest.ok() && ::fsync(file.descriptor->get()) != 0) {
    digest = Failed(file.path, "cannot sync", errno);
  }
  if (!digest.ok()) {
    ::unlink(path.c_str());
    return digest;
  }
  VD_CRASH_POINT("transfer.file.renamed");
  VD_RETURN_IF_ERROR(disk::SyncDirectoryOf(path));
  return digest;
}

absl::Status OwnedFolder::Remove(const std::string& id) const {
  VD_CRASH_POINT("transfer.remove.before");
  VD_RETURN_IF_ERROR(disk::RemoveFile(PathOf(id)));
  VD_CRASH_POINT("transfer.remove.after");
  return absl::OkStatus();
}

std::vector<std::string> OwnedFolder::List() const {
  std::vector<std::string> ids;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path_, error)) {
    std::string name = entry.path().filename();
    if (IsUuid(name)) ids.push_back(std::move(name));
  }
  return ids;
}

}  // namespace viaduct
