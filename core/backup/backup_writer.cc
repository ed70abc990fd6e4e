#include "core/backup/backup_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/backup/backup_database.h"
#include "core/base/crash_point.h"
#include "core/base/descriptor.h"
#include "core/base/disk_files.h"
#include "core/base/durable_file.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"

namespace viaduct::backup {
namespace {

constexpr uint64_t kTellEvery = 1024;  // Files.

std::string Below(const std::string& folder, std::string_view name) {
  return absl::StrCat(folder, "/", AbslView(name));
}

// SHA256SUMS of the backup before, read in step with the walk over the new one. Thread-compatible.
class EarlierSums {
 public:
  explicit EarlierSums(std::string folder) : folder_(std::move(folder)) {
    if (folder_.empty()) return;
    absl::StatusOr<std::unique_ptr<SumsReader>> reader =
        SumsReader::Open(Below(folder_, kSumsName));
    if (reader.ok()) reader_ = *std::move(reader);
  }

  // The digest of the file that `path` shares with it. Names come in the order of PathLess.
  std::optional<std::string> Of(const std::string& name, const std::string& path) {
    while (reader_ != nullptr && (!line_.has_value() || PathLess(line_->name, name))) {
      absl::StatusOr<std::optional<SumLine>> next = reader_->Next();
      if (!next.ok() || !next->has_value()) {
        reader_.reset();
      } else {
        line_ = **std::move(next);
      }
    }
    if (!line_.has_value() || line_->name != name) return std::nullopt;
    if (!IsSameFile(path, Below(folder_, name))) return std::nullopt;
    return line_->sha256;
  }

 private:
  const std::string folder_;
  std::unique_ptr<SumsReader> reader_;
  std::optional<SumLine> line_;
};

// Writes SHA256SUMS in pieces. Thread-compatible.
class SumsWriter {
 public:
  explicit SumsWriter(std::string path) : path_(std::move(path)) {}

  absl::Status Begin() {
    file_.emplace(open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    return file_->get() < 0 ? FileFailure(path_, "create") : absl::OkStatus();
  }
  absl::Status Add(std::string_view sha256, std::string_view name) {
    absl::StrAppend(&lines_, AbslView(sha256), "  ", AbslView(name), "\n");
    return lines_.size() < kPieceBytes ? absl::OkStatus() : Flush();
  }
  // The digest of the file.
  absl::StatusOr<std::string> End() {
    VD_RETURN_IF_ERROR(Flush());
    if (fsync(file_->get()) != 0) return FileFailure(path_, "sync");
    return digest_.Hex();
  }

 private:
  static constexpr size_t kPieceBytes = 64u << 10;

  absl::Status Flush() {
    digest_.Add(lines_);
    VD_RETURN_IF_ERROR(WriteAll(file_->get(), path_, lines_));
    lines_.clear();
    return absl::OkStatus();
  }

  const std::string path_;
  std::optional<Descriptor> file_;
  Sha256Stream digest_;
  std::string lines_;
};

}  // namespace

BackupWriter::BackupWriter(Options options, BackupManifest manifest)
    : options_(std::move(options)), manifest_(std::move(manifest)) {}

void BackupWriter::BeginPart(std::string_view part) {
  progress_.part = std::string(part);
  Tell();
}

void BackupWriter::Tell() {
  progress_.bytes = options_.pace->spent();
  if (options_.told) options_.told(progress_);
}

absl::Status BackupWriter::Counted(const absl::Status& status) {
  if (!status.ok()) return status;
  if (++progress_.files % kTellEvery == 0) Tell();
  return absl::OkStatus();
}

absl::StatusOr<std::string> BackupWriter::PathOf(const std::string& name) {
  if (!IsSafeName(name)) return absl::InvalidArgumentError("backup: no name for a file of it");
  const std::string path = Below(options_.folder, name);
  const std::string folder = path.substr(0, path.rfind('/'));
  if (folder != made_) VD_RETURN_IF_ERROR(MakeFolders(folder));
  made_ = folder;
  return path;
}

absl::Status BackupWriter::Copy(const std::string& from, const std::string& name) {
  VD_ASSIGN_OR_RETURN(const std::string to, PathOf(name));
  return Counted(CopyFile(from, to, options_.pace).status());
}

absl::Status BackupWriter::Share(const std::string& from, const std::string& name) {
  VD_ASSIGN_OR_RETURN(const std::string to, PathOf(name));
  if (disk::FileExists(to)) return absl::OkStatus();
  const std::string previous = options_.previous.empty() ? "" : Below(options_.previous, name);
  return Counted(ShareFile(from, to, previous, options_.pace));
}

absl::Status BackupWriter::Database(const std::string& from, const std::string& name) {
  VD_ASSIGN_OR_RETURN(const std::string to, PathOf(name));
  VD_RETURN_IF_ERROR(CopyDatabase(from, to, options_.pace));
  VD_CRASH_POINT("backup.database.after");
  return CountRowsOf(name);
}

absl::Status BackupWriter::CountRowsOf(const std::string& name) {
  VD_ASSIGN_OR_RETURN(manifest_.rows[name], CountRows(Below(options_.folder, name)));
  return Counted(absl::OkStatus());
}

absl::Status BackupWriter::Text(std::string_view text, const std::string& name) {
  VD_ASSIGN_OR_RETURN(const std::string to, PathOf(name));
  const size_t slash = to.rfind('/');
  return Counted(WriteFileDurably(to.substr(0, slash), to.substr(slash + 1), text));
}

absl::Status BackupWriter::Secret(std::string_view text, const std::string& name) {
  if (!keeps_secrets()) return absl::FailedPreconditionError("backup: no key to encrypt with");
  VD_ASSIGN_OR_RETURN(const std::string sealed, options_.cipher->Seal(text, name));
  return Text(sealed, name);
}

absl::Status BackupWriter::Clear(const std::string& name) {
  made_.clear();
  if (!IsSafeName(name)) return absl::InvalidArgumentError("backup: no name for a folder of it");
  return RemoveTree(Below(options_.folder, name));
}

absl::Status BackupWriter::Folder(const std::string& from, const std::string& name, bool shared,
                                  const std::function<bool(const std::string&)>& wanted) {
  struct stat info {};
  if (stat(from.c_str(), &info) != 0) return absl::OkStatus();
  const auto take = [&](const std::string& below) -> absl::Status {
    if (wanted && !wanted(below)) return absl::OkStatus();
    const std::string to = Below(name, below);
    const absl::Status taken =
        shared ? Share(Below(from, below), to) : Copy(Below(from, below), to);
    return absl::IsNotFound(taken) ? absl::OkStatus() : taken;
  };
  return WalkFiles(from, {take, nullptr, /*looks_past_others=*/true});
}

absl::Status BackupWriter::WriteSums() {
  EarlierSums earlier(options_.previous);
  SumsWriter sums(Below(options_.folder, kSumsName));
  VD_RETURN_IF_ERROR(sums.Begin());
  const auto digest = [&](const std::string& name) -> absl::Status {
    if (name == kSumsName) return absl::OkStatus();
    const std::string path = Below(options_.folder, name);
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0) return FileFailure(path, "look at");
    ++manifest_.files;
    manifest_.bytes += static_cast<uint64_t>(info.st_size);
    std::optional<std::string> known = earlier.Of(name, path);
    if (known.has_value()) {
      ++manifest_.shared_files;
    } else {
      VD_ASSIGN_OR_RETURN(const FileSum sum, DigestFile(path, options_.pace));
      known = sum.sha256;
    }
    VD_RETURN_IF_ERROR(sums.Add(*known, name));
    return Counted(absl::OkStatus());
  };
  // Every name in a folder is durable once that folder is synced.
  const auto sync = [&](const std::string& below) {
    return SyncFolder(below.empty() ? options_.folder : Below(options_.folder, below));
  };
  VD_RETURN_IF_ERROR(WalkFiles(options_.folder, {digest, sync}));
  VD_ASSIGN_OR_RETURN(manifest_.sums_sha256, sums.End());
  return absl::OkStatus();
}

absl::StatusOr<BackupManifest> BackupWriter::Finish(absl::Time now) {
  progress_.files = 0;
  BeginPart("digests");
  VD_RETURN_IF_ERROR(WriteSums());
  VD_CRASH_POINT("backup.manifest.before");
  manifest_.ended = now;
  VD_RETURN_IF_ERROR(WriteFileDurably(options_.folder, kManifestName, WriteManifest(manifest_)));
  VD_CRASH_POINT("backup.manifest.after");
  return manifest_;
}

}  // namespace viaduct::backup
