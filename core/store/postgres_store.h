// The store in a PostgreSQL database: for servers that outgrow one machine. Several nodes may share
// one database.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/observe/log.h"
#include "core/store/postgres_connection.h"
#include "core/store/store.h"

namespace viaduct {

struct PostgresStoreOptions {
  PostgresAddress address;
  std::string node_id = "viaduct";                  // Nodes of one database have different ids.
  absl::TimeZone zone = absl::UTCTimeZone();        // Decides when "today" begins.
  absl::Duration active_window = absl::Minutes(5);  // A camera seen within it is active.
  size_t max_queued_records = 65'536;               // Waiting for the writer; more are refused.
  size_t max_queued_bytes = 128u << 20;             // Of their payloads.
  size_t max_group_records = 4'096;                 // In one transaction.
  size_t max_group_bytes = 32u << 20;               // A single larger record still fits.
  int max_readers = 4;  // Beside the writer's one and HasDetection's two.
  absl::Duration connect_timeout = absl::Seconds(5);
  absl::Duration read_deadline = absl::Seconds(5);
  absl::Duration write_timeout = absl::Seconds(30);    // Of one reply; then a new connection.
  absl::Duration min_retry = absl::Milliseconds(200);  // Between attempts to connect.
  absl::Duration max_retry = absl::Seconds(5);
  int64_t max_communication_rows = 1'000'000;      // The oldest are forgotten beyond.
  absl::Duration heartbeat = absl::Seconds(3);     // This node's sign of life for the others.
  absl::Duration index_check = absl::Minutes(10);  // While an index cannot be made.
  absl::Duration node_lease = absl::Seconds(15);   // Without one, a node's cameras are gone.
};
// Of `heartbeat`s: one that is late must not make a healthy node look dead.
inline constexpr int kMinLeaseBeats = 4;

// INVALID_ARGUMENT names the option and its bound.
absl::Status CheckPostgresOptions(const PostgresStoreOptions& options);
// Of the one that writes.
PgConnection::Options ConnectionOf(const PostgresStoreOptions& options);

// Connects and brings the schema up to date. A database that cannot be reached is no error: the
// store refuses with UNAVAILABLE, says so in Health(), and goes on by itself when the database is
// there. FAILED_PRECONDITION when a newer version or another program made the tables, or rights are
// missing; INVALID_ARGUMENT for options that CheckPostgresOptions refuses. `clock` and `log` must
// outlive the store.
absl::StatusOr<std::unique_ptr<Store>> OpenPostgresStore(const PostgresStoreOptions& options,
                                                         const Clock* clock, Log* log);

}  // namespace viaduct
