// The log of the queue's database, a write-ahead log of SQLite (sqlite.org/fileformat2.html), where
// something in it was damaged: SQLite takes what is before the damage and, without a word, nothing
// of what is behind it. Internal to core/transfer.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace viaduct {

// Whether transactions lie behind damage. What a loss of power has torn off at the end was never
// acknowledged, and is none.
bool IsLogWounded(const std::string& log_path);

// Writes a log of all that is in `log_path`, which SQLite takes to its end, and syncs nothing. What
// is in damaged places is taken as it is: each row proves itself. `database_pages` bounds what may
// be believed of the numbers of pages.
absl::Status MendLog(const std::string& log_path, uint64_t database_pages,
                     const std::string& mended_path);

}  // namespace viaduct
