// What belongs to a backup of a node, part by part. The order matters: a row is there after what it
// names, so rows are copied before the files.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "core/backup/backup_writer.h"
#include "core/config/backup_options.h"
#include "core/config/node_config.h"
#include "core/config/revision_store.h"
#include "host/node/access.h"
#include "host/node/config_control.h"

namespace viaduct {

// Thread-compatible. All pointers outlive it.
class BackupParts {
 public:
  BackupParts(const NodeConfig* config, BackupOptionsConfig options, Access* access,
              RevisionStore* revisions, ConfigControl* control)
      : config_(config),
        options_(std::move(options)),
        access_(access),
        revisions_(revisions),
        control_(control) {}

  absl::Status Fill(backup::BackupWriter* to) const;

 private:
  absl::Status FillStore(backup::BackupWriter* to) const;
  absl::Status FillSqlite(backup::BackupWriter* to) const;
  absl::Status FillPostgres(backup::BackupWriter* to) const;
  absl::Status FillImage(backup::BackupWriter* to, std::string_view path) const;
  absl::Status FillSpool(backup::BackupWriter* to) const;
  absl::Status FillTransfers(backup::BackupWriter* to) const;
  absl::Status FillIncoming(backup::BackupWriter* to) const;
  absl::Status FillAudit(backup::BackupWriter* to) const;
  absl::Status FillConfig(backup::BackupWriter* to) const;
  absl::Status FillRevisions(backup::BackupWriter* to, const std::string& index, bool secret) const;
  absl::Status FillSecrets(backup::BackupWriter* to) const;
  absl::Status FillAuth(backup::BackupWriter* to) const;

  bool RevisionsHoldSecrets() const;
  // Encrypted, under a name of its own.
  absl::Status AddSecret(backup::BackupWriter* to, std::string_view text,
                         const std::string& path) const;
  // FAILED_PRECONDITION: it is not there.
  absl::Status AddSecretFile(backup::BackupWriter* to, const std::string& path) const;
  std::string ConfigFolder() const;
  std::string AuditFolder() const;
  // Below data_dir, or absolute.
  std::string PlaceOf(const std::string& path) const;
  void AddPlace(backup::BackupWriter* to, const std::string& from, const std::string& path) const;

  const NodeConfig* const config_;
  const BackupOptionsConfig options_;
  Access* const access_;
  RevisionStore* const revisions_;
  ConfigControl* const control_;
};

}  // namespace viaduct
