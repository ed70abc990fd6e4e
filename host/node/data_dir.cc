#include "host/node/data_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace viaduct {
namespace {

constexpr mode_t kFolderMode = 0750;

absl::Status Errno(const std::string& path, const char* what) {
  const std::string text = absl::StrCat("data_dir ", path, ": ", what, ", ", std::strerror(errno));
  return errno == ENOSPC || errno == EDQUOT ? absl::ResourceExhaustedError(text)
                                            : absl::FailedPreconditionError(text);
}

absl::Status MakeFolders(const std::string& path) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (mkdir(part.c_str(), kFolderMode) != 0 && errno != EEXIST) {
      return Errno(part, "cannot be made");
    }
    if (end == std::string::npos) return absl::OkStatus();
  }
}

std::string Owner(int lock) {
  std::array<char, 32> text{};
  const ssize_t size = pread(lock, text.data(), text.size() - 1, 0);
  absl::string_view owner(text.data(), size > 0 ? static_cast<size_t>(size) : 0);
  owner = absl::StripAsciiWhitespace(owner);
  return owner.empty() ? "another process" : absl::StrCat("process ", owner);
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataDir>> DataDir::Open(const std::string& path) {
  absl::Status made = MakeFolders(path);
  if (!made.ok()) return made;
  const std::string name = path + "/node.lock";
  const int lock = open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (lock < 0) return Errno(name, "cannot be opened");
  std::unique_ptr<DataDir> folder(new DataDir(path, lock));
  if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Errno(name, "cannot be locked");
    return absl::FailedPreconditionError(
        absl::StrCat("data_dir ", path, ": in use by ", Owner(lock),
                     ", two nodes cannot share one (set node.data_dir)"));
  }
  // For people and for the message above; the lock itself is what counts.
  const std::string text = absl::StrCat(getpid(), "\n");
  if (ftruncate(lock, 0) != 0 || pwrite(lock, text.data(), text.size(), 0) < 0) {
    return Errno(name, "cannot be written");
  }
  return folder;
}

DataDir::~DataDir() { close(lock_); }

}  // namespace viaduct
