#include "core/security/audit_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/crash_point.h"
#include "core/base/durable_file.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"

namespace viaduct::security {
namespace {

// The last whole line of a file, and where whole lines end.
struct Ends {
  std::string last;
  uint64_t whole = 0;
  uint64_t size = 0;
};

absl::StatusOr<std::string> ReadAt(int fd, const std::string& path, uint64_t offset, size_t size) {
  std::string text(size, '\0');
  const ssize_t got = ::pread(fd, text.data(), size, static_cast<off_t>(offset));
  if (got < 0) return FileFailure(path, "read");
  text.resize(static_cast<size_t>(got));
  return text;
}

absl::StatusOr<Ends> ReadEnds(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat facts {};
  if (file.get() < 0 || ::fstat(file.get(), &facts) != 0) return FileFailure(path, "open");
  Ends ends;
  ends.size = static_cast<uint64_t>(facts.st_size);
  // An unfinished line and the one before it fit.
  const uint64_t window = std::min<uint64_t>(ends.size, 2 * audit::kMaxLineBytes);
  VD_ASSIGN_OR_RETURN(const std::string end, ReadAt(file.get(), path, ends.size - window, window));
  const size_t last_break = end.rfind('\n');
  if (last_break == std::string::npos) return ends;
  ends.whole = ends.size - window + last_break + 1;
  const size_t before = last_break == 0 ? std::string::npos : end.rfind('\n', last_break - 1);
  const size_t start = before == std::string::npos ? 0 : before + 1;
  ends.last = end.substr(start, last_break - start);
  return ends;
}

}  // namespace

absl::StatusOr<std::unique_ptr<AuditFile>> AuditFile::Open(const std::string& folder,
                                                           const AuditFileOptions& options) {
  std::unique_ptr<AuditFile> file(new AuditFile(folder, options));
  VD_RETURN_IF_ERROR(file->Lock());
  VD_RETURN_IF_ERROR(file->Recover());
  VD_RETURN_IF_ERROR(file->OpenCurrent());
  return file;
}

std::string AuditFile::PathOf(std::string_view name) const {
  return absl::StrCat(folder_, "/", AbslView(name));
}

absl::Status AuditFile::SyncFolder() const {
  const Descriptor folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || ::fsync(folder.get()) != 0) return FileFailure(folder_, "sync");
  return absl::OkStatus();
}

absl::Status AuditFile::Lock() {
  lock_ = std::make_unique<Descriptor>(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (lock_->get() < 0) return FileFailure(folder_, "open");
  if (::flock(lock_->get(), LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(folder_, ": another process writes this audit log"));
}

// The newest file that has a record knows where the chain stands.
absl::Status AuditFile::Recover() {
  VD_ASSIGN_OR_RETURN(std::vector<std::string> files, audit::ListFiles(folder_));
  for (const std::string& name : files) {
    number_ = std::max(number_, audit::NumberOf(name) + 1);
  }
  Found found = Found::kNothing;
  while (!files.empty() && found == Found::kNothing) {
    VD_ASSIGN_OR_RETURN(found, RecoverFrom(files.back()));
    files.pop_back();
  }
  return absl::OkStatus();
}

absl::StatusOr<AuditFile::Found> AuditFile::RecoverFrom(const std::string& name) {
  const std::string path = PathOf(name);
  const bool current = name == audit::kCurrentName;
  VD_ASSIGN_OR_RETURN(const Ends ends, ReadEnds(path));
  if (ends.size == 0) return Found::kNothing;
  const bool torn = ends.size > ends.whole && ends.size - ends.whole <= audit::kMaxLineBytes;
  const bool good = ends.whole == 0 || audit::ReadLine(ends.last).ok();
  if (good && torn && current) {
    VD_RETURN_IF_ERROR(CutUnfinished(path, ends.whole, ends.size));
    if (ends.whole == 0) return Found::kNothing;
  } else if (!good || ends.whole != ends.size) {
    mended_ = absl::StrCat("the end of ", name, " was changed, a new chain begins");
    if (current) VD_RETURN_IF_ERROR(SetAside());
    return Found::kDamage;
  }
  VD_ASSIGN_OR_RETURN(const audit::Line last, audit::ReadLine(ends.last));
  head_ = {last.sequence, last.hash};
  return Found::kChain;
}

// It stays for whoever looks into it, and takes no part any more.
absl::Status AuditFile::SetAside() {
  const std::string path = PathOf(audit::kCurrentName);
  std::string aside;
  for (uint64_t number = number_; aside.empty(); ++number) {
    std::string name = PathOf(absl::StrCat("damaged-", number, ".jsonl"));
    if (::access(name.c_str(), F_OK) != 0) aside = std::move(name);
  }
  if (::rename(path.c_str(), aside.c_str()) != 0) return FileFailure(path, "set aside");
  return SyncFolder();
}

absl::Status AuditFile::CutUnfinished(const std::string& path, uint64_t whole, uint64_t size) {
  if (::truncate(path.c_str(), static_cast<off_t>(whole)) != 0) return FileFailure(path, "cut");
  mended_ = absl::StrCat(size - whole, " octets of an unfinished record were removed");
  return absl::OkStatus();
}

absl::Status AuditFile::OpenCurrent() {
  const std::string path = PathOf(audit::kCurrentName);
  auto file = std::make_unique<Descriptor>(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  struct stat facts {};
  if (file->get() < 0 || ::fstat(file->get(), &facts) != 0 || ::fchmod(file->get(), 0600) != 0) {
    return FileFailure(path, "open");
  }
  size_ = static_cast<uint64_t>(facts.st_size);
  file_ = std::move(file);
  return SyncFolder();
}

absl::Status AuditFile::Rotate() {
  const std::string path = PathOf(audit::kCurrentName);
  VD_CRASH_POINT("audit.rotate.before");
  const std::string rotated = PathOf(audit::RotatedName(number_));
  // It is not there where the last try came just so far.
  if (::rename(path.c_str(), rotated.c_str()) != 0 && errno != ENOENT) {
    return FileFailure(path, "rename");
  }
  VD_CRASH_POINT("audit.rotate.after");
  VD_RETURN_IF_ERROR(OpenCurrent());
  ++number_;
  RemoveOldest();
  return absl::OkStatus();
}

// What can not be removed now is tried again with the next rotation: that is no reason not to
// write.
void AuditFile::RemoveOldest() const {
  const absl::StatusOr<std::vector<std::string>> files = audit::ListFiles(folder_);
  const size_t keep = std::max<size_t>(2, options_.max_files);
  for (size_t i = 0; files.ok() && i + keep < files->size(); ++i) {
    static_cast<void>(::unlink(PathOf((*files)[i]).c_str()));
  }
}

absl::Status AuditFile::Append(std::string_view lines, const AuditHead& head) {
  const std::string path = PathOf(audit::kCurrentName);
  if (size_ > 0 && size_ + lines.size() > options_.max_file_bytes) VD_RETURN_IF_ERROR(Rotate());
  absl::Status status = WriteAll(file_->get(), path, lines);
  VD_CRASH_POINT("audit.written");
  if (status.ok() && ::fdatasync(file_->get()) != 0) status = FileFailure(path, "sync");
  if (!status.ok()) {
    // Half a line would break the chain.
    if (::ftruncate(file_->get(), static_cast<off_t>(size_)) != 0) return FileFailure(path, "cut");
    return status;
  }
  size_ += lines.size();
  head_ = head;
  return absl::OkStatus();
}

}  // namespace viaduct::security
