#include "core/backup/backups.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/backup/backup_files.h"
#include "core/base/crash_point.h"
#include "core/base/disk_files.h"
#include "core/base/durable_file.h"
#include "core/base/status_macros.h"

namespace viaduct::backup {
namespace {

namespace fs = std::filesystem;

constexpr char kLockName[] = ".lock";
constexpr size_t kNumberDigits = 6;

// "000012-20240115T103000Z"; 0: no name of a backup.
uint64_t NumberOf(const std::string& name) {
  uint64_t number = 0;
  const size_t dash = name.find('-');
  if (dash == std::string::npos || dash < kNumberDigits) return 0;
  return absl::SimpleAtoi(name.substr(0, dash), &number) ? number : 0;
}

bool IsUnfinished(const std::string& name) { return absl::EndsWith(name, kUnfinished); }

// Folders whose names are those of backups, finished or not, by number.
absl::StatusOr<std::vector<std::string>> NamesIn(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator each(path, error), end; !error && each != end;
       each.increment(error)) {
    std::error_code unknown;
    const std::string name = each->path().filename().string();
    const bool folder = each->symlink_status(unknown).type() == fs::file_type::directory;
    if (folder && NumberOf(name) > 0 && names.size() < Backups::kMaxBackups) names.push_back(name);
  }
  if (error) {
    return absl::NotFoundError(absl::StrCat(path, ": cannot be read, ", error.message()));
  }
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
    return std::make_pair(NumberOf(a), a) < std::make_pair(NumberOf(b), b);
  });
  return names;
}

absl::Status CheckFolder(const std::string& path) {
  VD_RETURN_IF_ERROR(MakeFolders(path));
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return FileFailure(path, "look at");
  if (!S_ISDIR(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": is no folder"));
  }
  if (info.st_uid != geteuid()) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": belongs to another user"));
  }
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(path, ": others may look into it, chmod 700"));
}

absl::StatusOr<disk::LockFile> Lock(const std::string& path) {
  absl::StatusOr<disk::LockFile> lock = disk::LockFile::Acquire(absl::StrCat(path, "/", kLockName));
  if (!absl::IsFailedPrecondition(lock.status())) return lock;
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": a backup is being made or removed there just now"));
}

}  // namespace

Backups::Backups(BackupsOptions options, const Clock* clock)
    : options_(std::move(options)), clock_(clock) {}

absl::StatusOr<BackupManifest> Backups::Create(const FillFn& fill, const ToldFn& told,
                                               const absl::Notification* stopping) {
  VD_RETURN_IF_ERROR(CheckFolder(options_.path));
  VD_ASSIGN_OR_RETURN(const disk::LockFile lock, Lock(options_.path));
  VD_ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(options_.path));
  std::string previous;
  uint64_t number = 0;
  for (const std::string& name : names) {
    number = NumberOf(name);
    const std::string folder = absl::StrCat(options_.path, "/", name);
    if (IsUnfinished(name)) {
      VD_RETURN_IF_ERROR(RemoveTree(folder));
    } else if (LoadManifest(folder).ok()) {
      previous = name;
    }
  }
  const std::string name =
      absl::StrFormat("%06d-%s", number + 1,
                      absl::FormatTime("%Y%m%dT%H%M%SZ", clock_->Now(), absl::UTCTimeZone()));
  absl::StatusOr<BackupManifest> made = Fill(name, previous, fill, told, stopping);
  // What is left is not taken for a backup; what it takes is wanted by others.
  const std::string left = absl::StrCat(options_.path, "/", name, kUnfinished);
  if (!made.ok()) RemoveTree(left).IgnoreError();
  return made;
}

absl::StatusOr<BackupManifest> Backups::Fill(const std::string& name, const std::string& previous,
                                             const FillFn& fill, const ToldFn& told,
                                             const absl::Notification* stopping) {
  const std::string finished = absl::StrCat(options_.path, "/", name);
  const std::string folder = finished + kUnfinished;
  VD_RETURN_IF_ERROR(MakeFolders(folder));
  Pace pace({options_.bytes_per_second, options_.path, options_.min_free_bytes, stopping}, clock_);
  BackupManifest manifest;
  manifest.name = name;
  manifest.node_id = options_.node_id;
  manifest.version = options_.version;
  manifest.based_on = previous;
  manifest.began = clock_->Now();
  manifest.secrets = options_.cipher != nullptr;
  if (manifest.secrets) manifest.secrets_key = options_.key_id;
  BackupWriter::Options options;
  options.folder = folder;
  if (!previous.empty()) options.previous = absl::StrCat(options_.path, "/", previous);
  options.pace = &pace;
  options.cipher = options_.cipher;
  options.told = told;
  BackupWriter writer(std::move(options), std::move(manifest));
  VD_RETURN_IF_ERROR(pace.Spend(0));
  VD_RETURN_IF_ERROR(fill(&writer));
  VD_ASSIGN_OR_RETURN(BackupManifest made, writer.Finish(clock_->Now()));
  VD_RETURN_IF_ERROR(disk::RenameFile(folder, finished));
  VD_CRASH_POINT("backup.renamed");
  VD_RETURN_IF_ERROR(SyncFolder(options_.path));
  return made;
}

absl::StatusOr<std::vector<BackupEntry>> ListBackups(const std::string& path) {
  VD_ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(path));
  std::vector<BackupEntry> entries;
  for (const std::string& name : names) {
    BackupEntry entry;
    entry.name = name;
    entry.manifest = IsUnfinished(name)
                         ? absl::FailedPreconditionError("not finished; the next backup removes it")
                         : LoadManifest(absl::StrCat(path, "/", name));
    entries.push_back(std::move(entry));
  }
  return entries;
}

absl::StatusOr<std::vector<std::string>> PruneBackups(const std::string& path, size_t keep,
                                                      bool dry_run) {
  VD_ASSIGN_OR_RETURN(std::vector<BackupEntry> entries, ListBackups(path));
  VD_ASSIGN_OR_RETURN(const disk::LockFile lock, Lock(path));
  std::vector<std::string> finished;
  for (const BackupEntry& entry : entries) {
    if (entry.manifest.ok()) finished.push_back(entry.name);
  }
  keep = std::max<size_t>(keep, 1);
  if (finished.size() <= keep) return std::vector<std::string>();
  finished.resize(finished.size() - keep);
  if (dry_run) return finished;
  for (const std::string& name : finished) {
    // Under the other name half of one is not taken for a backup.
    const std::string folder = absl::StrCat(path, "/", name);
    VD_RETURN_IF_ERROR(disk::RenameFile(folder, folder + kUnfinished));
    VD_RETURN_IF_ERROR(RemoveTree(folder + kUnfinished));
  }
  VD_RETURN_IF_ERROR(SyncFolder(path));
  return finished;
}

}  // namespace viaduct::backup
