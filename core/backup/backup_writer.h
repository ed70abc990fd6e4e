// One backup while it is made: files go into a folder whose name says that it is unfinished;
// digests and the manifest come last. See docs/OPERATIONS.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/backup/backup_files.h"
#include "core/backup/backup_manifest.h"
#include "core/backup/pace.h"
#include "core/security/at_rest.h"

namespace viaduct::backup {

inline constexpr size_t kMaxSecretBytes = 64u << 20;  // Of one file.

struct BackupProgress {
  std::string part;  // "store", "images", ..., "digests".
  uint64_t files = 0;
  uint64_t bytes = 0;
};

// Names are below the backup. Thread-compatible.
class BackupWriter {
 public:
  struct Options {
    std::string folder;    // Empty.
    std::string previous;  // A finished backup whose files may be shared, or "".
    Pace* pace = nullptr;  // Outlives it.
    std::shared_ptr<const security::FileCipher> cipher;  // Null: secrets are left out.
    std::function<void(const BackupProgress&)> told;     // May be empty.
  };
  BackupWriter(Options options, BackupManifest manifest);

  void BeginPart(std::string_view part);
  bool keeps_secrets() const { return options_.cipher != nullptr; }
  BackupManifest* manifest() { return &manifest_; }
  Pace* pace() { return options_.pace; }

  // Where a file of that name belongs; its folders are made.
  absl::StatusOr<std::string> PathOf(const std::string& name);
  // NOT_FOUND, as the next ones: there is no `from`.
  absl::Status Copy(const std::string& from, const std::string& name);
  // For files that are replaced but never changed. One that is in the backup already stays.
  absl::Status Share(const std::string& from, const std::string& name);
  // A SQLite file that others may be writing; its rows are counted in the manifest.
  absl::Status Database(const std::string& from, const std::string& name);
  // Of a database that was written to PathOf(name).
  absl::Status CountRowsOf(const std::string& name);
  absl::Status Text(std::string_view text, const std::string& name);
  // Encrypted. Only where keeps_secrets().
  absl::Status Secret(std::string_view text, const std::string& name);
  // Removes what was put into a folder, to put it there anew.
  absl::Status Clear(const std::string& name);
  // All files of a folder that `wanted` names; shared where that is said. What goes away meanwhile
  // is left out; OK where there is no folder.
  absl::Status Folder(const std::string& from, const std::string& name, bool shared,
                      const std::function<bool(const std::string&)>& wanted);

  // Digests everything, makes it durable, and writes the manifest.
  absl::StatusOr<BackupManifest> Finish(absl::Time now);

 private:
  absl::Status WriteSums();
  void Tell();
  absl::Status Counted(const absl::Status& status);

  const Options options_;
  BackupManifest manifest_;
  BackupProgress progress_;
  std::string made_;  // The folder that was made last.
};

}  // namespace viaduct::backup
