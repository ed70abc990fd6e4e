// The folder of a node's backups: making, listing and removing them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "core/backup/backup_manifest.h"
#include "core/backup/backup_writer.h"
#include "core/base/clock.h"
#include "core/security/at_rest.h"

namespace viaduct::backup {

inline constexpr char kCipherPurpose[] = "backup";  // Of the keys that are made of a KeyRing's.

struct BackupEntry {
  std::string name;
  absl::StatusOr<BackupManifest> manifest = absl::UnknownError("");  // Or why it is none.
};

struct BackupsOptions {
  std::string path;  // Made with mode 0700 where it is missing.
  std::string node_id;
  std::string version;
  uint64_t bytes_per_second = 0;                       // 0: no limit.
  uint64_t min_free_bytes = 0;                         // Left to others on the disk of `path`.
  std::shared_ptr<const security::FileCipher> cipher;  // Null: secrets are left out.
  std::string key_id;                                  // Of the cipher.
};

// Thread-safe; processes keep out of each other's way by a lock in the folder.
class Backups {
 public:
  static constexpr size_t kMaxBackups = 10'000;

  Backups(BackupsOptions options, const Clock* clock);

  using FillFn = std::function<absl::Status(BackupWriter*)>;
  using ToldFn = std::function<void(const BackupProgress&)>;
  // A new backup of what `fill` puts into it. What failed leaves nothing behind; what a crash left
  // is removed by the next one. FAILED_PRECONDITION: others may read the folder, or one is under
  // way. RESOURCE_EXHAUSTED: no room. CANCELLED: `stopping`, which may be null.
  absl::StatusOr<BackupManifest> Create(const FillFn& fill, const ToldFn& told,
                                        const absl::Notification* stopping);
  const std::string& path() const { return options_.path; }

 private:
  absl::StatusOr<BackupManifest> Fill(const std::string& name, const std::string& previous,
                                      const FillFn& fill, const ToldFn& told,
                                      const absl::Notification* stopping);

  const BackupsOptions options_;
  const Clock* const clock_;
};

// By name, the oldest first; the number at its beginning counts, whatever the clock said. What is
// no finished backup comes with the reason.
absl::StatusOr<std::vector<BackupEntry>> ListBackups(const std::string& path);

// Removes all finished ones but the newest `keep`, at least one. Their names.
absl::StatusOr<std::vector<std::string>> PruneBackups(const std::string& path, size_t keep,
                                                      bool dry_run);

}  // namespace viaduct::backup
