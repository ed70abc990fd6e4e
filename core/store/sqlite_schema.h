// The tables of the SQLite store and how an older file becomes a newer one. docs/STORE.md explains
// them column by column.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/store/sqlite_db.h"

namespace viaduct {

// "VIAD": marks the file as ours (file(1) shows it).
inline constexpr int32_t kStoreApplicationId = 0x56494144;

inline constexpr int64_t kMillisAnHour = 3'600'000;
// Adds to the row of a source, or 0 for all, and an hour.
inline constexpr char kAddToHour[] =
    "INSERT INTO detection_hours VALUES (?1, ?2, ?3, ?4) ON CONFLICT (source, hour) DO UPDATE SET "
    "detections = detections + excluded.detections, plates = plates + excluded.plates";

int64_t LatestSchemaVersion();

// Applies every migration that the file has not had, each in one transaction, and returns the
// version. A file of a newer version or of another program gives FAILED_PRECONDITION and is not
// touched.
absl::StatusOr<int64_t> MigrateSchema(SqliteDb* db, absl::Time now);

}  // namespace viaduct
