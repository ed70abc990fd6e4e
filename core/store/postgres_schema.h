// The tables of a PostgreSQL store: migrations, and the monthly partitions of lpr_events.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/store/postgres_connection.h"

namespace viaduct {

int64_t LatestPostgresSchemaVersion();

// Brings the schema up to date under an advisory lock, so that nodes that start together do it
// once; one that is up to date takes no lock. FAILED_PRECONDITION, and nothing changed, when a
// newer version or another program made the tables; UNAVAILABLE when it gets no lock in seconds.
absl::StatusOr<int64_t> MigratePostgres(PgConnection* db);

// Its settings make a commit mean less than it says, and no session can overrule them.
bool IsUnsafeServer(PgConnection* db);

// Partitions exist for the month of `now` and so many after it.
inline constexpr int kPartitionsAhead = 2;
absl::Status EnsurePartitions(PgConnection* db, absl::Time now);

}  // namespace viaduct
