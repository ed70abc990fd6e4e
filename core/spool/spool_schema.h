// Making, recognizing and migrating the spool file. Internal to core/spool.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/spool/spool_files.h"
#include "core/spool/spool_format.h"

namespace viaduct::spool_internal {

inline constexpr int kSchemaVersion = 1;
// "VDS" and the version in the last byte. The version is in the header twice (user_version too), so
// that a damaged byte is not taken for a newer version.
inline constexpr int64_t kApplicationIdBase = 0x56445300;

// Brings a file from `from` to `from + 1`.
struct Migration {
  int from = 0;
  const char* sql = "";
};
absl::Span<const Migration> Migrations();

// For every connection: no memory mapping, small cache, no waiting for ever.
absl::Status ConfigureConnection(sqlite3* db, int cache_kib);

// Makes a complete new file at `path`, synced, holding `state` and no message. Whatever was at
// `path` is removed first.
absl::Status CreateSpoolFile(const std::string& path, const std::string& vfs,
                             const SpoolState& state);

// OK: the file is of version `target` now. FAILED_PRECONDITION: made by a newer program, left
// untouched. DATA_LOSS: not a spool file, or its header is damaged.
absl::Status CheckAndMigrate(sqlite3* db, int target = kSchemaVersion,
                             absl::Span<const Migration> migrations = Migrations());

// DATA_LOSS when the schema of an open file of the current version is not, to the letter, what
// CreateSpoolFile makes: SQLite would follow a damaged root page into the wrong table.
absl::Status CheckSchema(sqlite3* db);

// DATA_LOSS when a field of the file's header that never changes has another value: SQLite takes
// some of them for a file that it may only read.
absl::Status CheckHeader(const std::string& path);

}  // namespace viaduct::spool_internal
