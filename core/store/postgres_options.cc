// What no store can run with, and what its connections are made with.
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/store/postgres_store.h"

namespace viaduct {

absl::Status CheckPostgresOptions(const PostgresStoreOptions& options) {
  VD_RETURN_IF_ERROR(CheckPostgresAddress(options.address));
  if (options.heartbeat <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(absl::StrCat("store: heartbeat, expected more than 0, got ",
                                                   absl::FormatDuration(options.heartbeat)));
  }
  const absl::Duration least = kMinLeaseBeats * options.heartbeat;
  if (options.node_lease >= least) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "store: node_lease, expected at least ", absl::FormatDuration(least), " with a heartbeat of ",
      absl::FormatDuration(options.heartbeat), ", got ", absl::FormatDuration(options.node_lease)));
}

PgConnection::Options ConnectionOf(const PostgresStoreOptions& options) {
  PgConnection::Options connection;
  connection.address = options.address;
  connection.application_name = absl::StrCat("viaduct ", options.node_id);
  connection.connect_timeout = options.connect_timeout;
  connection.reply_timeout = options.write_timeout;
  return connection;
}

}  // namespace viaduct
