// What of a node has to do with its backups.
#include <optional>
#include <utility>

#include "core/base/status_macros.h"
#include "core/config/backup_options.h"
#include "core/security/at_rest.h"
#include "core/security/key_ring.h"
#include "host/node/backup_parts.h"
#include "host/node/backup_runner.h"
#include "host/node/node.h"
#include "host/node/node_facts.h"

namespace viaduct {

absl::Status Node::BuildBackups() {
  const NodeConfig& config = foundation_->config;
  std::optional<BackupOptionsConfig> options = ReadBackupOptions(config);
  if (!options.has_value()) return absl::OkStatus();
  backup::BackupsOptions backups;
  backups.path = options->path;
  backups.node_id = config.node.id;
  backups.version = NodeVersion();
  backups.bytes_per_second = options->bytes_per_second;
  backups.min_free_bytes = options->min_free_bytes;
  if (!options->keys.empty()) {
    VD_ASSIGN_OR_RETURN(const security::KeyRing keys, security::KeyRing::Load(options->keys));
    backups.cipher = std::make_shared<const security::FileCipher>(keys, backup::kCipherPurpose);
    backups.key_id = keys.active_id();
  }
  BackupRunner::Deps deps;
  deps.clock = &foundation_->clock;
  deps.log = foundation_->log.get();
  deps.health = &health_;
  deps.timers = &timers_;
  deps.pool = &pools_.backup;
  deps.fill = [parts = std::make_shared<const BackupParts>(
                   &config, *options, access_.get(), foundation_->revisions.get(), config_.get())](
                  backup::BackupWriter* to) { return parts->Fill(to); };
  backups_ =
      std::make_unique<BackupRunner>(*std::move(options), std::move(backups), std::move(deps));
  return absl::OkStatus();
}

}  // namespace viaduct
