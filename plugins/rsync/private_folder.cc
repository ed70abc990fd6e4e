#include "plugins/rsync/private_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace viaduct::rsync {
namespace {

constexpr int kMaxTries = 8;
constexpr mode_t kOthers = 0077;

// The folder, locked; -1: it is no folder of ours alone, or one that is in use.
int Lock(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return -1;
  struct stat facts {};
  const bool ours =
      fstat(fd, &facts) == 0 && facts.st_uid == geteuid() && (facts.st_mode & kOthers) == 0;
  if (ours && flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  close(fd);
  return -1;
}

// Between its making and its lock another process may have taken it for left behind.
bool IsStillAt(const std::string& path, int fd) {
  struct stat there {};
  struct stat here {};
  return lstat(path.c_str(), &there) == 0 && fstat(fd, &here) == 0 && there.st_ino == here.st_ino &&
         there.st_dev == here.st_dev;
}

void Remove(const std::string& path) {
  std::error_code ignored;  // The next one tries again.
  std::filesystem::remove_all(path, ignored);
}

// A lock ends with its process, however that ends.
void RemoveLeftBehind(const std::string& base, const std::string& prefix) {
  std::error_code error;
  size_t seen = 0;
  for (std::filesystem::directory_iterator it(base, error), end; !error && it != end;
       it.increment(error)) {
    if (!absl::StartsWith(it->path().filename().string(), prefix)) continue;
    if (++seen > PrivateFolder::kMaxSwept) return;
    const int lock = Lock(it->path().string());
    if (lock < 0) continue;
    Remove(it->path().string());
    close(lock);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<PrivateFolder>> PrivateFolder::Make(const std::string& base,
                                                                   const std::string& prefix) {
  RemoveLeftBehind(base, prefix);
  for (int i = 0; i < kMaxTries; ++i) {
    std::string path = absl::StrCat(base, "/", prefix, "XXXXXX");
    if (mkdtemp(path.data()) == nullptr) {
      return absl::UnavailableError(absl::StrCat("folder: ", path, ", ", std::strerror(errno)));
    }
    const int lock = Lock(path);
    if (lock < 0) continue;
    if (IsStillAt(path, lock)) {
      return std::unique_ptr<PrivateFolder>(new PrivateFolder(std::move(path), lock));
    }
    close(lock);
  }
  return absl::UnavailableError(absl::StrCat("folder: ", base, ", can not be locked"));
}

PrivateFolder::~PrivateFolder() {
  Remove(path_);
  close(lock_);
}

}  // namespace viaduct::rsync
