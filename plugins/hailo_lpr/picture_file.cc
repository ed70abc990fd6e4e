#include "plugins/hailo_lpr/picture_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace viaduct::hailo_lpr {
namespace {

constexpr int kMostNumbers = 1000;  // Of names that are taken.

absl::Status Failed(const std::string& name, int error) {
  const std::string text = absl::StrCat("file: ", name, ": ", std::strerror(error));
  if (error == ENOENT) return absl::NotFoundError(text);
  // A symbolic link.
  if (error == ELOOP) return absl::InvalidArgumentError(text);
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(text);
  return absl::UnavailableError(text);
}

FileIdentity Of(const struct stat& facts) {
  // Some file systems keep times that nanoseconds cannot.
  return {facts.st_dev, facts.st_ino, facts.st_size,
          absl::ToUnixNanos(absl::TimeFromTimespec(facts.st_mtim))};
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

absl::Status ReadAll(int fd, const std::string& name, std::string* octets) {
  size_t done = 0;
  while (done < octets->size()) {
    const ssize_t got = read(fd, octets->data() + done, octets->size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Failed(name, errno);
    if (got == 0) return absl::UnavailableError(absl::StrCat("file: ", name, ": got shorter"));
    done += static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

absl::Status CheckIdentity(int folder, const std::string& name, const FileIdentity& identity) {
  const absl::StatusOr<FileIdentity> now = IdentityOf(folder, name);
  if (!now.ok()) return now.status();
  if (*now == identity) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat("file: ", name, ": is another one now"));
}

}  // namespace

bool IsPictureName(const std::string& name) {
  if (name.empty() || name[0] == '.') return false;
  const std::string lower = absl::AsciiStrToLower(name);
  return absl::EndsWith(lower, ".jpg") || absl::EndsWith(lower, ".jpeg") ||
         absl::EndsWith(lower, ".png");
}

absl::StatusOr<PictureFile> ReadPictureFile(int folder, const std::string& name, size_t max_bytes) {
  const Descriptor file(
      openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (file.get() < 0) return Failed(name, errno);
  struct stat facts {};
  if (fstat(file.get(), &facts) != 0) return Failed(name, errno);
  if (!S_ISREG(facts.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat("file: ", name, ": is no regular file"));
  }
  PictureFile out;
  out.identity = Of(facts);
  if (out.identity.size > static_cast<int64_t>(max_bytes)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "file: ", name, ": too large, ", out.identity.size, " octets, limit ", max_bytes));
  }
  out.octets.resize(static_cast<size_t>(out.identity.size));
  const absl::Status read = ReadAll(file.get(), name, &out.octets);
  if (!read.ok()) return read;
  return out;
}

absl::StatusOr<FileIdentity> IdentityOf(int folder, const std::string& name) {
  struct stat facts {};
  if (fstatat(folder, name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) return Failed(name, errno);
  return Of(facts);
}

absl::Status RemoveFile(int folder, const std::string& name, const FileIdentity& identity) {
  const absl::Status same = CheckIdentity(folder, name, identity);
  if (!same.ok()) return same;
  return unlinkat(folder, name.c_str(), 0) == 0 ? absl::OkStatus() : Failed(name, errno);
}

absl::Status MoveFile(int folder, const std::string& name, const FileIdentity& identity, int to) {
  const absl::Status same = CheckIdentity(folder, name, identity);
  if (!same.ok()) return same;
  for (int number = 0; number < kMostNumbers; ++number) {
    const std::string as = number == 0 ? name : absl::StrCat(number, "-", name);
    if (renameat2(folder, name.c_str(), to, as.c_str(), RENAME_NOREPLACE) == 0) {
      return absl::OkStatus();
    }
    if (errno != EEXIST) return Failed(name, errno);
  }
  return absl::AlreadyExistsError(absl::StrCat("file: ", name, ": is there too often"));
}

}  // namespace viaduct::hailo_lpr
