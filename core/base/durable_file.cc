#include "core/base/durable_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/base/crash_point.h"
#include "core/base/descriptor.h"
#include "core/base/status_macros.h"

namespace viaduct {

absl::Status FileFailure(const std::string& path, const char* what) {
  const int error = errno;
  const std::string text = absl::StrCat(path, ": cannot ", what, ", ", std::strerror(error));
  if (error == ENOENT) return absl::NotFoundError(text);
  if (error == ENOSPC || error == EDQUOT) return absl::ResourceExhaustedError(text);
  return absl::UnavailableError(text);
}

absl::Status WriteAll(int fd, const std::string& path, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FileFailure(path, "write");
    text.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

namespace {

absl::Status WriteAndSync(const std::string& path, std::string_view text) {
  const Descriptor file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.get() < 0) return FileFailure(path, "create");
  if (::fchmod(file.get(), 0600) != 0) return FileFailure(path, "protect");
  VD_RETURN_IF_ERROR(WriteAll(file.get(), path, text));
  if (::fsync(file.get()) != 0) return FileFailure(path, "sync");
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteFileDurably(const std::string& dir, const std::string& name,
                              std::string_view text) {
  const std::string path = absl::StrCat(dir, "/", name);
  const std::string temporary = absl::StrCat(path, ".new");
  absl::Status written = WriteAndSync(temporary, text);
  if (!written.ok()) {
    ::unlink(temporary.c_str());
    return written;
  }
  VD_CRASH_POINT("file.written");
  if (::rename(temporary.c_str(), path.c_str()) != 0) return FileFailure(path, "rename");
  VD_CRASH_POINT("file.renamed");
  const Descriptor folder(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || ::fsync(folder.get()) != 0) return FileFailure(dir, "sync");
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path, size_t max_bytes) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (file.get() < 0) return FileFailure(path, "open");
  std::string text;
  std::array<char, 16384> buffer;
  while (true) {
    const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FileFailure(path, "read");
    if (got == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(got));
    if (text.size() > max_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(path, ": larger than ", max_bytes, " bytes"));
    }
  }
}

}  // namespace viaduct
