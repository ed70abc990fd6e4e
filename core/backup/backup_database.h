// Copies of SQLite files as of one moment, while others write into them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/backup/pace.h"

namespace viaduct::backup {

inline constexpr size_t kMaxTables = 256;  // Of one file.

// By SQLite's own backup interface, all of it under one read transaction: what is committed before
// the call is in `to`, a new file of mode 0600, synced. The log of `from` grows meanwhile by what
// is written. Not for files that somebody has locked for himself alone.
absl::Status CopyDatabase(const std::string& from, const std::string& to, Pace* pace);

// Of a copy that nobody writes: looks at every page and every index, changes nothing and leaves no
// file beside it. DATA_LOSS: damaged.
absl::Status CheckDatabase(const std::string& path);

// Of a copy, likewise: rows by table.
absl::StatusOr<std::map<std::string, uint64_t>> CountRows(const std::string& path);

// Of a copy, likewise: the first column of every row, and of every line in it.
absl::Status EachText(const std::string& path, const char* sql,
                      const std::function<absl::Status(std::string_view)>& each);

}  // namespace viaduct::backup
