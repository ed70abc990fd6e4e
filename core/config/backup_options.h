// Backups of a node while it runs: the section "backup".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/config/node_config.h"

namespace viaduct {

struct BackupOptionsConfig {
  std::string path;  // Absolute, as the others.
  absl::Duration every = absl::InfiniteDuration();
  uint32_t keep = 0;
  uint64_t bytes_per_second = 0;  // 0: no limit.
  uint64_t min_free_bytes = 0;
  std::string keys;  // "": secrets are left out.
  std::vector<std::string> files;
};

// None: no backups are made.
std::optional<BackupOptionsConfig> ReadBackupOptions(const NodeConfig& config);

// Files with secrets that the node's own sections name, in no order, without those of `files`.
std::vector<std::string> SecretFilesOf(const NodeConfig& config);

}  // namespace viaduct
