#include "host/setup/root.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/descriptor.h"
#include "core/base/disk_files.h"
#include "core/base/durable_file.h"
#include "core/base/status_macros.h"

namespace viaduct::setup {
namespace {

namespace fs = std::filesystem;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

absl::Status NoAccount(const char* kind, const std::string& name, const std::string& where) {
  return absl::NotFoundError(absl::StrCat(where, ": has no ", kind, " ", name,
                                          ", install the package that it belongs to first"));
}

absl::Status WriteOwned(const std::string& path, const FileState& state) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                               S_IRUSR | S_IWUSR));
  if (file.get() < 0) return FileFailure(path, "create");
  if (::fchown(file.get(), state.uid, state.gid) != 0) return FileFailure(path, "give away");
  if (::fchmod(file.get(), state.mode) != 0) return FileFailure(path, "protect");
  VD_RETURN_IF_ERROR(WriteAll(file.get(), path, state.text));
  if (::fsync(file.get()) != 0) return FileFailure(path, "sync");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Root> Root::Open(const std::string& folder) {
  std::error_code error;
  const fs::path whole = fs::canonical(folder, error);
  if (error || !fs::is_directory(whole, error)) {
    return absl::FailedPreconditionError(absl::StrCat(folder, ": no such folder"));
  }
  return Root(whole == "/" ? "" : whole.string());
}

absl::StatusOr<std::string> Root::Inside(const std::string& path) const {
  if (is_system()) return path;
  std::error_code error;
  const fs::path there = folder_ + path;
  const std::string parent = fs::weakly_canonical(there.parent_path(), error).string();
  if (!error && (parent == folder_ || absl::StartsWith(parent, folder_ + "/"))) {
    return absl::StrCat(parent, "/", there.filename().string());
  }
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": its folder leads out of ", folder_, " by a link"));
}

bool Root::Has(const std::string& path) const {
  const absl::StatusOr<std::string> there = Inside(path);
  return there.ok() && disk::FileExists(*there);
}

absl::StatusOr<uid_t> Root::User(const std::string& name) const {
  const std::string table = folder_ + "/etc/passwd";
  const File file(std::fopen(table.c_str(), "re"));
  if (file == nullptr) return FileFailure(table, "open");
  while (const passwd* entry = ::fgetpwent(file.get())) {
    if (name == entry->pw_name) return entry->pw_uid;
  }
  return NoAccount("user", name, table);
}

absl::StatusOr<gid_t> Root::Group(const std::string& name) const {
  const std::string table = folder_ + "/etc/group";
  const File file(std::fopen(table.c_str(), "re"));
  if (file == nullptr) return FileFailure(table, "open");
  while (const group* entry = ::fgetgrent(file.get())) {
    if (name == entry->gr_name) return entry->gr_gid;
  }
  return NoAccount("group", name, table);
}

absl::StatusOr<FileState> Root::Read(const std::string& path) const {
  VD_ASSIGN_OR_RETURN(const std::string there, Inside(path));
  FileState state;
  struct stat found {};
  if (::lstat(there.c_str(), &found) != 0) {
    if (errno == ENOENT) return state;
    return FileFailure(there, "look at");
  }
  if (!S_ISREG(found.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": is no file but a link, folder or device, remove it first"));
  }
  VD_ASSIGN_OR_RETURN(state.text, ReadWholeFile(there, kMaxSetupFile));
  state.exists = true;
  state.mode = found.st_mode & 07777;
  state.uid = found.st_uid;
  state.gid = found.st_gid;
  return state;
}

absl::Status Root::Write(const std::string& path, const FileState& state) const {
  VD_ASSIGN_OR_RETURN(const std::string there, Inside(path));
  const std::string temporary = there + ".viaduct-new";
  absl::Status status = WriteOwned(temporary, state);
  if (status.ok()) status = disk::RenameFile(temporary, there);
  if (!status.ok()) {
    static_cast<void>(::unlink(temporary.c_str()));
    return status;
  }
  return disk::SyncDirectoryOf(there);
}

absl::Status Root::Remove(const std::string& path) const {
  VD_ASSIGN_OR_RETURN(const std::string there, Inside(path));
  VD_RETURN_IF_ERROR(disk::RemoveFile(there));
  return disk::SyncDirectoryOf(there);
}

}  // namespace viaduct::setup
