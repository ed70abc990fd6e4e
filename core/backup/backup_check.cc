#include "core/backup/backup_check.h"

#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/backup/backup_database.h"
#include "core/backup/backup_files.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"

namespace viaduct::backup {
namespace {

constexpr uint64_t kTellEvery = 1024;  // Files.

// Thread-compatible.
class Check {
 public:
  Check(std::string folder, Pace* pace, const std::function<void(uint64_t)>& told)
      : folder_(std::move(folder)), pace_(pace), told_(told) {}

  absl::StatusOr<BackupVerdict> Run() {
    VD_ASSIGN_OR_RETURN(verdict_.manifest, LoadManifest(folder_));
    VD_ASSIGN_OR_RETURN(const FileSum sums, DigestFile(PathOf(kSumsName), pace_));
    if (sums.sha256 != verdict_.manifest.sums_sha256) {
      Mistake(kSumsName, "changed, its digest is not that of the manifest");
    }
    VD_ASSIGN_OR_RETURN(sums_, SumsReader::Open(PathOf(kSumsName)));
    VD_RETURN_IF_ERROR(Advance());
    VD_RETURN_IF_ERROR(
        WalkFiles(folder_, {[this](const std::string& name) { return Look(name); }, nullptr}));
    while (line_.has_value()) {
      Mistake(line_->name, "missing");
      VD_RETURN_IF_ERROR(Advance());
    }
    CheckTotals();
    VD_RETURN_IF_ERROR(CheckDatabases());
    return std::move(verdict_);
  }

 private:
  std::string PathOf(std::string_view name) const {
    return absl::StrCat(folder_, "/", AbslView(name));
  }

  void Mistake(std::string_view name, std::string_view what) {
    ++verdict_.mistakes;
    if (verdict_.named.size() < kMaxMistakes) {
      verdict_.named.push_back(absl::StrCat(AbslView(name), ": ", AbslView(what)));
    }
  }

  absl::Status Advance() {
    VD_ASSIGN_OR_RETURN(line_, sums_->Next());
    return absl::OkStatus();
  }

  // Names come in the order of the list.
  absl::Status Look(const std::string& name) {
    if (name == kSumsName || name == kManifestName) return absl::OkStatus();
    while (line_.has_value() && PathLess(line_->name, name)) {
      Mistake(line_->name, "missing");
      VD_RETURN_IF_ERROR(Advance());
    }
    if (!line_.has_value() || line_->name != name) {
      Mistake(name, "not in the list");
      return absl::OkStatus();
    }
    const absl::StatusOr<FileSum> sum = DigestFile(PathOf(name), pace_);
    if (absl::IsCancelled(sum.status())) return sum.status();
    if (!sum.ok()) {
      Mistake(name, StdView(sum.status().message()));
    } else {
      if (sum->sha256 != line_->sha256) Mistake(name, "changed, its digest is another one");
      verdict_.bytes += sum->bytes;
    }
    if (++verdict_.files % kTellEvery == 0 && told_) told_(verdict_.files);
    return Advance();
  }

  void CheckTotals() {
    const BackupManifest& manifest = verdict_.manifest;
    if (verdict_.files != manifest.files || verdict_.bytes != manifest.bytes) {
      Mistake(kManifestName,
              absl::StrCat("says ", manifest.files, " files of ", manifest.bytes,
                           " bytes, there are ", verdict_.files, " of ", verdict_.bytes));
    }
  }

  absl::Status CheckDatabases() {
    for (const auto& [name, rows] : verdict_.manifest.rows) {
      if (!IsSafeName(name)) return absl::InvalidArgumentError("manifest: a database is no path");
      const absl::Status sound = CheckDatabase(PathOf(name));
      if (!sound.ok()) {
        Mistake(name, StdView(sound.message()));
        continue;
      }
      const absl::StatusOr<std::map<std::string, uint64_t>> counted = CountRows(PathOf(name));
      if (!counted.ok()) {
        Mistake(name, StdView(counted.status().message()));
      } else if (*counted != rows) {
        Mistake(name, "other numbers of rows than the manifest says");
      }
    }
    return absl::OkStatus();
  }

  const std::string folder_;
  Pace* const pace_;
  const std::function<void(uint64_t)>& told_;
  BackupVerdict verdict_;
  std::unique_ptr<SumsReader> sums_;
  std::optional<SumLine> line_;
};

}  // namespace

absl::StatusOr<BackupVerdict> VerifyBackup(const std::string& folder, Pace* pace,
                                           const std::function<void(uint64_t)>& told) {
  return Check(folder, pace, told).Run();
}

}  // namespace viaduct::backup
