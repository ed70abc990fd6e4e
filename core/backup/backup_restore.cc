#include "core/backup/backup_restore.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/backup/backup_files.h"
#include "core/backup/backup_writer.h"
#include "core/base/disk_files.h"
#include "core/base/durable_file.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"

namespace viaduct::backup {
namespace {

namespace fs = std::filesystem;

absl::Status CheckTarget(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (status.type() == fs::file_type::not_found) return absl::OkStatus();
  if (status.type() == fs::file_type::directory && fs::is_empty(path, error) && !error) {
    return absl::OkStatus();
  }
  return absl::AlreadyExistsError(absl::StrCat(path, ": is there and not empty"));
}

// Thread-compatible.
class Restore {
 public:
  Restore(const RestoreOptions& options, Pace* pace)
      : options_(options), pace_(pace), folder_(options.data_dir + kRestoring) {}

  absl::StatusOr<RestoreReport> Run() {
    VD_ASSIGN_OR_RETURN(report_.manifest, LoadManifest(options_.backup));
    VD_RETURN_IF_ERROR(CheckTarget(options_.data_dir));
    VD_RETURN_IF_ERROR(CheckTarget(folder_));
    VD_RETURN_IF_ERROR(CheckSums());
    VD_RETURN_IF_ERROR(MakeFolders(folder_));
    const absl::Status filled = Fill();
    if (!filled.ok()) {
      RemoveTree(folder_).IgnoreError();
      return filled;
    }
    return std::move(report_);
  }

 private:
  absl::Status CheckSums() {
    VD_ASSIGN_OR_RETURN(const FileSum sums, DigestFile(From(kSumsName), pace_));
    if (sums.sha256 == report_.manifest.sums_sha256) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat(From(kSumsName), ": changed since it was made"));
  }

  absl::Status Fill() {
    VD_ASSIGN_OR_RETURN(const std::unique_ptr<SumsReader> sums, SumsReader::Open(From(kSumsName)));
    while (true) {
      VD_ASSIGN_OR_RETURN(const std::optional<SumLine> line, sums->Next());
      if (!line.has_value()) break;
      VD_RETURN_IF_ERROR(Take(*line));
    }
    VD_RETURN_IF_ERROR(SyncAll());
    VD_RETURN_IF_ERROR(GiveToOwner());
    VD_RETURN_IF_ERROR(disk::RenameFile(folder_, options_.data_dir));
    return disk::SyncDirectoryOf(options_.data_dir);
  }

  std::string From(std::string_view name) const {
    return absl::StrCat(options_.backup, "/", AbslView(name));
  }

  // Where it belongs below the new folder; none: nowhere, it is for people or for a database.
  std::optional<std::string> PlaceOf(const std::string& name) {
    const BackupPlace* best = nullptr;
    for (const BackupPlace& place : report_.manifest.places) {
      const bool holds = name == place.from || absl::StartsWith(name, place.from + "/");
      if (holds && (best == nullptr || place.from.size() > best->from.size())) best = &place;
    }
    if (best == nullptr) return std::nullopt;
    const std::string rest = name.substr(best->from.size());
    if (best->to[0] != '/') return best->to + rest;
    const auto same = [best](const BackupPlace& one) { return one.from == best->from; };
    if (std::none_of(report_.elsewhere.begin(), report_.elsewhere.end(), same)) {
      report_.elsewhere.push_back(*best);
    }
    return absl::StrCat(kElsewhere, best->to, rest);
  }

  absl::Status Take(const SumLine& line) {
    const bool secret = absl::StartsWith(line.name, "secrets/");
    if (secret && options_.cipher == nullptr) return absl::OkStatus();
    const std::optional<std::string> place = PlaceOf(line.name);
    if (!place.has_value()) return absl::OkStatus();
    const std::string to = absl::StrCat(folder_, "/", *place);
    VD_RETURN_IF_ERROR(MakeFolders(to.substr(0, to.rfind('/'))));
    return secret ? TakeSecret(line, to) : TakeFile(line, to);
  }

  absl::Status TakeFile(const SumLine& line, const std::string& to) {
    VD_ASSIGN_OR_RETURN(const FileSum sum, CopyFile(From(line.name), to, pace_));
    if (sum.sha256 != line.sha256) return Changed(line.name);
    ++report_.files;
    report_.bytes += sum.bytes;
    return absl::OkStatus();
  }

  absl::Status TakeSecret(const SumLine& line, const std::string& to) {
    VD_ASSIGN_OR_RETURN(const std::string sealed,
                        ReadWholeFile(From(line.name), 2 * kMaxSecretBytes));
    if (HexSha256(sealed) != line.sha256) return Changed(line.name);
    VD_ASSIGN_OR_RETURN(const auto file, options_.cipher->Begin(sealed, sealed.size(), line.name));
    std::string plain;
    for (uint64_t piece = 0; piece < file->pieces; ++piece) {
      const auto [at, size] = file->PlaceOf(piece);
      if (at + size > sealed.size()) return Changed(line.name);
      VD_ASSIGN_OR_RETURN(const std::string opened,
                          file->OpenPiece(piece, std::string_view(sealed).substr(at, size)));
      plain += opened;
    }
    const size_t slash = to.rfind('/');
    ++report_.secrets;
    return WriteFileDurably(to.substr(0, slash), to.substr(slash + 1), plain);
  }

  absl::Status Changed(const std::string& name) const {
    return absl::DataLossError(absl::StrCat(From(name), ": changed, its digest is another one"));
  }

  absl::Status SyncAll() const {
    const auto sync = [this](const std::string& below) {
      return SyncFolder(below.empty() ? folder_ : absl::StrCat(folder_, "/", below));
    };
    return WalkFiles(folder_, {[](const std::string&) { return absl::OkStatus(); }, sync});
  }

  // What root restores belongs to whom the backup belongs.
  absl::Status GiveToOwner() const {
    struct stat info {};
    if (geteuid() != 0 || stat(options_.backup.c_str(), &info) != 0) return absl::OkStatus();
    const auto give = [&](const std::string& below) -> absl::Status {
      const std::string path = below.empty() ? folder_ : absl::StrCat(folder_, "/", below);
      if (lchown(path.c_str(), info.st_uid, info.st_gid) == 0) return absl::OkStatus();
      return FileFailure(path, "give to the owner of the backup");
    };
    return WalkFiles(folder_, {give, give});
  }

  const RestoreOptions& options_;
  Pace* const pace_;
  const std::string folder_;
  RestoreReport report_;
};

}  // namespace

absl::StatusOr<RestoreReport> RestoreBackup(const RestoreOptions& options, Pace* pace) {
  return Restore(options, pace).Run();
}

}  // namespace viaduct::backup
