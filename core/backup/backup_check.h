// Whether a backup is what was made: every digest, every database, every count.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backup/backup_manifest.h"
#include "core/backup/pace.h"

namespace viaduct::backup {

inline constexpr size_t kMaxMistakes = 100;  // That are named.

struct BackupVerdict {
  BackupManifest manifest;
  uint64_t files = 0;  // That were looked at.
  uint64_t bytes = 0;
  uint64_t mistakes = 0;
  std::vector<std::string> named;  // The first of them, "<file>: <what>".
  bool good() const { return mistakes == 0; }
};

// An error where it is no finished backup at all, or its list cannot be read. `told` may be empty.
absl::StatusOr<BackupVerdict> VerifyBackup(const std::string& folder, Pace* pace,
                                           const std::function<void(uint64_t files)>& told);

}  // namespace viaduct::backup
