// A PostgreSQL store as one file, by the programs that come with PostgreSQL.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "core/store/postgres_connection.h"

namespace viaduct {

// The newest pg_dump or pg_restore of this machine; "" where there is none.
std::string FindPostgresProgram(const std::string& name);

// Where the database is, for a program of PostgreSQL: in its environment, where no other user sees
// it. `database` of such a call is the name of the database.
struct PostgresCall {
  std::vector<std::string> environment;
  std::string database;
};
absl::StatusOr<PostgresCall> CallOf(const PostgresAddress& address);

// Everything as of one moment into the new file `to`, in pg_dump's own format; `image` is called
// for each path of an image that a row of the same moment names. FAILED_PRECONDITION: there is no
// pg_dump, or it is older than the server. CANCELLED: `stopping`, which may be null.
absl::Status DumpPostgres(const PostgresAddress& address, const std::string& to,
                          const std::function<absl::Status(std::string_view)>& image,
                          const absl::Notification* stopping);

// Into a database that must have no tables, in one transaction. FAILED_PRECONDITION: there is no
// pg_restore, or the database has tables.
absl::Status RestorePostgres(const PostgresAddress& address, const std::string& from);

}  // namespace viaduct
