// What no store can run with.
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

}  // namespace viaduct
