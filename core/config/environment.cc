// What a configuration may refer to, taken from the process and its machine.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/base/descriptor.h"
#include "core/config/validate.h"

namespace viaduct {
namespace {

std::string ErrnoText(int error) { return std::strerror(error); }

}  // namespace

std::optional<std::string> SystemEnvironment::Variable(const std::string& name) const {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

absl::StatusOr<ConfigEnvironment::FileText> SystemEnvironment::ReadFile(const std::string& path,
                                                                        size_t max_bytes) const {
  // A FIFO must not make the node wait.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.get() < 0) {
    return absl::NotFoundError(absl::StrCat(path, ": ", ErrnoText(errno)));
  }
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) {
    return absl::UnavailableError(absl::StrCat(path, ": ", ErrnoText(errno)));
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file"));
  }
  FileText result;
  result.others_can_read = (info.st_mode & S_IROTH) != 0;
  std::array<char, 4096> buffer;
  while (true) {
    const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::UnavailableError(absl::StrCat(path, ": ", ErrnoText(errno)));
    if (got == 0) return result;
    result.text.append(buffer.data(), static_cast<size_t>(got));
    if (result.text.size() > max_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(path, ": larger than ", max_bytes, " bytes"));
    }
  }
}

std::string SystemEnvironment::Hostname() const {
  std::array<char, HOST_NAME_MAX + 1> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "";
  return name.data();
}

std::string SystemEnvironment::ExecutableDir() const {
  std::array<char, PATH_MAX> path{};
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size() - 1);
  if (length <= 0) return "";
  const std::string text(path.data(), static_cast<size_t>(length));
  return text.substr(0, text.rfind('/'));
}

}  // namespace viaduct
