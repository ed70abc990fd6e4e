// A backup made into the folder of a node again, while no node runs there.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backup/backup_manifest.h"
#include "core/backup/pace.h"
#include "core/security/at_rest.h"

namespace viaduct::backup {

inline constexpr char kRestoring[] = ".restoring";  // Ends the name of a folder until it is whole.
inline constexpr char kElsewhere[] = "elsewhere";   // What lay outside of data_dir, below this.

struct RestoreOptions {
  std::string backup;                                  // The folder of one backup.
  std::string data_dir;                                // Absent or empty.
  std::shared_ptr<const security::FileCipher> cipher;  // Null: secrets stay where they are.
};

struct RestoreReport {
  BackupManifest manifest;
  uint64_t files = 0;
  uint64_t bytes = 0;
  uint64_t secrets = 0;
  std::vector<BackupPlace> elsewhere;  // `to` as it was; they are below data_dir/elsewhere now.
};

// Every file is written anew and its digest compared meanwhile. The folder has its name once all of
// it is durable. ALREADY_EXISTS: it is not empty. DATA_LOSS: the backup is damaged; nothing is
// left.
absl::StatusOr<RestoreReport> RestoreBackup(const RestoreOptions& options, Pace* pace);

}  // namespace viaduct::backup
