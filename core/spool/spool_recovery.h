// Opening whatever is on the disk: a good file, none, one that a crash left half replaced, one that
// is damaged. Internal to core/spool.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/observe/log.h"
#include "core/spool/spool.h"
#include "core/spool/spool_database.h"
#include "core/spool/spool_format.h"

namespace viaduct::spool_internal {

struct OpenedSpool {
  std::unique_ptr<SpoolDatabase> writer;
  std::unique_ptr<SpoolDatabase> reader;
  SpoolState state;
  std::vector<DamageReport> damages;
};

// The lock must be held.
absl::StatusOr<OpenedSpool> OpenSpoolFile(const std::string& path, const std::string& vfs,
                                          Log* log);

// Builds a new file from everything readable and sets the old one aside. Nobody may have the old
// one open. A crash at any moment leaves something from which OpenSpoolFile goes on.
absl::StatusOr<DamageReport> SalvageSpoolFile(const std::string& path, const std::string& vfs,
                                              const std::string& reason);

}  // namespace viaduct::spool_internal
