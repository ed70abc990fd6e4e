// The store in one SQLite file: the default of a server node.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/observe/log.h"
#include "core/store/store.h"

namespace viaduct {

// Of a copy of the file: the paths of the images that its rows name, one or several a row and line.
inline constexpr char kSqliteStoreImages[] =
    "SELECT image_path FROM detections WHERE image_path IS NOT NULL"
    " UNION ALL SELECT plate_images FROM detections WHERE plate_images IS NOT NULL"
    " UNION ALL SELECT path FROM file_transfers WHERE path IS NOT NULL";

struct SqliteStoreOptions {
  std::string path;                                 // The database file; its folder must exist.
  absl::TimeZone zone = absl::UTCTimeZone();        // Decides when "today" begins.
  absl::Duration active_window = absl::Minutes(5);  // A camera seen within it is active.
  bool set_aside_corrupt = true;                    // false: Open fails on a damaged file instead.
  size_t max_queued_records = 65'536;               // Waiting for the writer; more are refused.
  size_t max_queued_bytes = 128u << 20;             // Of their payloads.
  size_t max_group_records = 4'096;                 // In one transaction.
  int max_readers = 6;                              // Read connections, opened when needed.
  int writer_cache_kib = 8'192;
  int reader_cache_kib = 1'024;
  absl::Duration read_deadline = absl::Seconds(5);
  absl::Duration check_budget = absl::Milliseconds(25);  // For the check of the file at start.
  // The write-ahead log is copied into the database when it has so many pages (16 MiB), after the
  // waiting senders have their answers.
  int checkpoint_pages = 4'000;
  int64_t max_communication_rows = 1'000'000;  // The oldest are forgotten beyond.
};

// Opens or creates the database, brings its schema up to date and checks the file as far as
// `check_budget` goes. FAILED_PRECONDITION when a newer version wrote the file (it is left
// untouched) or another process has it open; DATA_LOSS when it is damaged and must not be set
// aside; otherwise as the file system says. A damaged file is renamed to
// "<path>.damaged-<UTC time>" and what can be read of it is copied into the new one; Health() and
// the log say so. `clock` and `log` must outlive the store.
absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const SqliteStoreOptions& options,
                                                       const Clock* clock, Log* log);

}  // namespace viaduct
