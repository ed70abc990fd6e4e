#include "host/node/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/descriptor.h"
#include "core/base/disk_files.h"
#include "core/base/durable_file.h"
#include "core/base/status_macros.h"
#include "core/config/members.h"

namespace viaduct {
namespace {

constexpr mode_t kFolderMode = 0750;

}  // namespace

absl::StatusOr<std::unique_ptr<LogFile>> LogFile::Open(const NodeConfig& config) {
  const nlohmann::json log = members::SectionOf(config, "log");
  const nlohmann::json& file = members::At(log, "file");
  if (!file.is_object()) return nullptr;
  LogFileOptions options;
  options.path = members::FileBelow(config.node.data_dir, file, "path");
  options.max_bytes = members::Bytes(file, "max_bytes");
  options.max_files = members::Number(file, "max_files");
  return Open(std::move(options));
}

absl::StatusOr<std::unique_ptr<LogFile>> LogFile::Open(LogFileOptions options) {
  const std::string folder = std::filesystem::path(options.path).parent_path().string();
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(folder).parent_path(), error);
  if (mkdir(folder.c_str(), kFolderMode) != 0 && errno != EEXIST) {
    return FileFailure(folder, "make");
  }
  const int before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (before < 0) return FileFailure("standard error", "keep");
  std::unique_ptr<LogFile> file(new LogFile(std::move(options), before));
  VD_RETURN_IF_ERROR(file->Reopen());
  return file;
}

LogFile::~LogFile() {
  std::fflush(stderr);
  dup2(before_, STDERR_FILENO);
  close(before_);
}

std::string LogFile::NameOf(uint32_t number) const {
  return number == 0 ? options_.path : absl::StrCat(options_.path, ".", number);
}

absl::Status LogFile::Reopen() {
  const Descriptor file(
      open(options_.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, kMode));
  if (file.get() < 0) return FileFailure(options_.path, "open");
  struct stat info {};
  if (fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(options_.path, ": is no regular file"));
  }
  // At once for all threads: no line is lost.
  if (dup2(file.get(), STDERR_FILENO) < 0) return FileFailure(options_.path, "write to");
  return absl::OkStatus();
}

absl::Status LogFile::RotateIfFull() {
  struct stat info {};
  if (fstat(STDERR_FILENO, &info) != 0) return FileFailure(options_.path, "look at");
  if (static_cast<uint64_t>(info.st_size) < options_.max_bytes) return absl::OkStatus();
  for (uint32_t number = options_.max_files; number-- > 0;) {
    const std::string from = NameOf(number);
    if (!disk::FileExists(from)) continue;
    if (number + 1 == options_.max_files) {
      VD_RETURN_IF_ERROR(disk::RemoveFile(from));
    } else {
      VD_RETURN_IF_ERROR(disk::RenameFile(from, NameOf(number + 1)));
    }
  }
  return Reopen();
}

}  // namespace viaduct
