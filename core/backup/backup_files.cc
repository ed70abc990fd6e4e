#include "core/backup/backup_files.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/descriptor.h"
#include "core/base/durable_file.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"

namespace viaduct::backup {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPieceBytes = 256u << 10;
constexpr mode_t kFileMode = 0600;

absl::Status StdFailure(const std::string& path, std::string_view what, std::error_code error) {
  const absl::StatusCode code = error == std::errc::no_space_on_device
                                    ? absl::StatusCode::kResourceExhausted
                                    : absl::StatusCode::kUnavailable;
  return absl::Status(code, absl::StrCat(path, ": cannot ", AbslView(what), ", ", error.message()));
}

// Neither a link nor a pipe is followed or waited for.
absl::StatusOr<struct stat> StatOpen(const Descriptor& file, const std::string& path) {
  if (file.get() < 0) {
    if (errno == ELOOP) return absl::InvalidArgumentError(absl::StrCat(path, ": is a link"));
    return FileFailure(path, "open");
  }
  struct stat info {};
  if (fstat(file.get(), &info) != 0) return FileFailure(path, "look at");
  if (S_ISREG(info.st_mode)) return info;
  return absl::InvalidArgumentError(absl::StrCat(path, ": is no regular file"));
}

// Reads `from` to its end; `to` may be -1.
absl::StatusOr<FileSum> Pump(const Descriptor& from, const std::string& path, int to,
                             const std::string& to_path, Pace* pace) {
  FileSum sum;
  Sha256Stream digest;
  std::vector<char> piece(kPieceBytes);
  while (true) {
    const ssize_t got = ::read(from.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FileFailure(path, "read");
    if (got == 0) break;
    const std::string_view octets(piece.data(), static_cast<size_t>(got));
    digest.Add(octets);
    if (to >= 0) VD_RETURN_IF_ERROR(WriteAll(to, to_path, octets));
    sum.bytes += octets.size();
    VD_RETURN_IF_ERROR(pace->Spend(octets.size()));
  }
  sum.sha256 = digest.Hex();
  return sum;
}

bool Clone(int from, int to) { return ioctl(to, FICLONE, from) == 0; }

absl::Status Finish(const Descriptor& file, const std::string& path, const struct stat& like) {
  const std::array<struct timespec, 2> times{like.st_atim, like.st_mtim};
  if (futimens(file.get(), times.data()) != 0) return FileFailure(path, "set the time of");
  if (fsync(file.get()) != 0) return FileFailure(path, "sync");
  return absl::OkStatus();
}

bool LooksUnchanged(const struct stat& now, const std::string& previous) {
  struct stat info {};
  return !previous.empty() && lstat(previous.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
         info.st_size == now.st_size && info.st_mtim.tv_sec == now.st_mtim.tv_sec &&
         info.st_mtim.tv_nsec == now.st_mtim.tv_nsec;
}

absl::Status WalkFolder(const std::string& root, const std::string& below, int depth,
                        const Walk& walk) {
  const std::string folder = below.empty() ? root : absl::StrCat(root, "/", below);
  if (depth > kMaxDepth) return absl::InvalidArgumentError(absl::StrCat(folder, ": too deep"));
  std::error_code error;
  std::vector<std::pair<std::string, fs::file_type>> entries;
  for (fs::directory_iterator each(folder, error), end; !error && each != end;
       each.increment(error)) {
    std::error_code unknown;
    entries.emplace_back(each->path().filename().string(), each->symlink_status(unknown).type());
  }
  if (error) return StdFailure(folder, "read", error);
  std::sort(entries.begin(), entries.end());
  for (const auto& [entry, type] : entries) {
    const std::string name = below.empty() ? entry : absl::StrCat(below, "/", entry);
    if (type == fs::file_type::directory) {
      VD_RETURN_IF_ERROR(WalkFolder(root, name, depth + 1, walk));
    } else if (type == fs::file_type::regular) {
      VD_RETURN_IF_ERROR(walk.file(name));
    } else if (!walk.looks_past_others) {
      return absl::InvalidArgumentError(
          absl::StrCat(root, "/", name, ": is neither a file nor a folder"));
    }
  }
  return walk.left ? walk.left(below) : absl::OkStatus();
}

}  // namespace

absl::StatusOr<FileSum> CopyFile(const std::string& from, const std::string& to, Pace* pace) {
  const Descriptor source(open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  VD_ASSIGN_OR_RETURN(const struct stat info, StatOpen(source, from));
  const Descriptor target(
      open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, kFileMode));
  if (target.get() < 0) return FileFailure(to, "create");
  VD_ASSIGN_OR_RETURN(FileSum sum, Pump(source, from, target.get(), to, pace));
  VD_RETURN_IF_ERROR(Finish(target, to, info));
  return sum;
}

absl::StatusOr<FileSum> DigestFile(const std::string& path, Pace* pace) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  VD_RETURN_IF_ERROR(StatOpen(file, path).status());
  return Pump(file, path, -1, "", pace);
}

absl::Status ShareFile(const std::string& from, const std::string& to, const std::string& previous,
                       Pace* pace) {
  {
    const Descriptor source(open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    VD_ASSIGN_OR_RETURN(const struct stat info, StatOpen(source, from));
    if (LooksUnchanged(info, previous) && link(previous.c_str(), to.c_str()) == 0) {
      return pace->Spend(0);
    }
    const Descriptor target(
        open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, kFileMode));
    if (target.get() < 0) return FileFailure(to, "create");
    if (Clone(source.get(), target.get())) {
      VD_RETURN_IF_ERROR(Finish(target, to, info));
      return pace->Spend(0);
    }
  }
  if (unlink(to.c_str()) != 0) return FileFailure(to, "remove");
  if (link(from.c_str(), to.c_str()) == 0) return pace->Spend(0);
  return CopyFile(from, to, pace).status();
}

bool IsSameFile(const std::string& a, const std::string& b) {
  struct stat one {};
  struct stat other {};
  return lstat(a.c_str(), &one) == 0 && lstat(b.c_str(), &other) == 0 &&
         one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

absl::Status MakeFolders(const std::string& path) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (mkdir(part.c_str(), S_IRWXU) != 0 && errno != EEXIST) return FileFailure(part, "make");
    if (end == std::string::npos) return absl::OkStatus();
  }
}

absl::Status SyncFolder(const std::string& path) {
  const Descriptor folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || fsync(folder.get()) != 0) return FileFailure(path, "sync");
  return absl::OkStatus();
}

absl::Status RemoveTree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  return error ? StdFailure(path, "remove", error) : absl::OkStatus();
}

absl::Status WalkFiles(const std::string& root, const Walk& walk) {
  return WalkFolder(root, "", 0, walk);
}

bool PathLess(std::string_view a, std::string_view b) {
  const auto less = [](char x, char y) {
    const auto rank = [](char c) { return c == '/' ? 0 : static_cast<unsigned char>(c); };
    return rank(x) < rank(y);
  };
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), less);
}

bool IsSafeName(std::string_view name) {
  constexpr size_t kMaxNameBytes = 4096;
  if (name.empty() || name.size() > kMaxNameBytes) return false;
  if (name.find_first_of(std::string_view("\n\r\\\0", 4)) != std::string_view::npos) return false;
  for (const absl::string_view part : absl::StrSplit(AbslView(name), '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

}  // namespace viaduct::backup
