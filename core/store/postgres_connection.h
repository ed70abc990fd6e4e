// libpq as the store uses it: every wait has an end, every error is an absl::Status.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "core/store/postgres_values.h"

namespace viaduct {

// Where the database is. What is empty is left to libpq (PGHOST, ~/.pgpass and so on).
struct PostgresAddress {
  std::string url;  // "postgresql://..." or "host=... dbname=..."; what is named below goes first.
  std::string host;
  int port = 0;  // 0: not given.
  std::string database;
  std::string user;
  std::string password;
  std::string ssl_mode;         // "disable" to "verify-full"
  std::string ssl_ca;           // PEM file.
  std::string ssl_certificate;  // Of this node, PEM file.
  std::string ssl_key;
};

// INVALID_ARGUMENT when libpq would not understand it. The text has no secret.
absl::Status CheckPostgresAddress(const PostgresAddress& address);

// What an SQLSTATE asks of the caller:
//   RESOURCE_EXHAUSTED   no space on the server's disk
//   UNAVAILABLE          the server or the way to it; after a commit it is unknown what was written
//   ABORTED              a deadlock or conflict with another node: the same transaction again
//   INVALID_ARGUMENT     this record
//   DEADLINE_EXCEEDED    the statement took too long
//   FAILED_PRECONDITION  rights or objects are missing
//   INTERNAL             anything else
absl::Status PostgresStatus(std::string_view sqlstate, std::string_view what,
                            std::string_view message);

// One connection. Thread-compatible.
class PgConnection {
 public:
  struct Options {
    PostgresAddress address;
    std::string application_name = "viaduct";
    absl::Duration connect_timeout = absl::Seconds(5);  // Of each host, in whole seconds.
    absl::Duration reply_timeout = absl::Seconds(30);   // Without it the connection is given up.
    absl::Duration statement_timeout;                   // On the server; zero: none.
    bool read_only = false;
  };

  static absl::StatusOr<std::unique_ptr<PgConnection>> Open(const Options& options);

  // Text without parameters and rows, several statements allowed.
  absl::Status Exec(const std::string& sql) { return Exec(sql, options_.reply_timeout); }
  // The same with a patience of its own.
  absl::Status Exec(const std::string& sql, absl::Duration patience);
  // What may take hours, at most `limit`. CANCELLED, and the connection lost, once stopping: the
  // server goes on with it.
  absl::Status ExecLong(const std::string& sql, absl::Duration limit,
                        const absl::Notification& stopping);
  // Prepared at its first use, kept by its text: the texts must be few.
  absl::StatusOr<PgResult> Run(std::string_view sql, const PgParams& params, std::string_view what);
  // COPY ... FROM STDIN (FORMAT binary), with what PgRows::Finish made. After BeginCopy the server
  // is at work, and nothing but EndCopy may be called.
  absl::Status BeginCopy(const std::string& sql, const std::string& rows, std::string_view what);
  absl::Status EndCopy(std::string_view what);
  absl::Status Copy(const std::string& sql, const std::string& rows, std::string_view what);
  // First column of the first row; NOT_FOUND without a row.
  absl::StatusOr<int64_t> QueryInt(std::string_view sql);

  // Statements that go out together and are answered in one round trip.
  struct Queued {
    std::string_view sql;
    PgParams params;
    std::string_view what;
  };
  // Stops at the first error. Rows are thrown away.
  absl::Status RunAll(const std::vector<Queued>& statements);

  // Waits for a notification of LISTEN, at most so long; false: none came.
  absl::StatusOr<bool> AwaitNotification(absl::Duration patience, std::string* payload);

  // The connection is lost; only destruction is left.
  bool broken() const { return broken_; }
  bool InTransaction() const { return PQtransactionStatus(conn_.get()) > PQTRANS_ACTIVE; }

 private:
  explicit PgConnection(Options options) : options_(std::move(options)), conn_(nullptr, PQfinish) {}
  absl::Status Connect();
  absl::Status Configure();
  absl::StatusOr<std::string> PreparedName(std::string_view sql, const PgParams& params);
  absl::StatusOr<PgResult> AwaitOne(std::string_view what, absl::Duration patience);
  // The next PGresult, null at the end of a statement's.
  absl::StatusOr<PGresult*> NextResult(int64_t deadline_ns);
  absl::Status CheckResult(const PGresult* result, std::string_view what);
  absl::Status SendQueued(const Queued& statement, const std::string& name);
  absl::Status CollectAll(const std::vector<Queued>& statements);
  absl::Status Lost(std::string_view what);
  absl::Status Wait(bool write, int64_t deadline_ns);

  const Options options_;
  std::unique_ptr<PGconn, void (*)(PGconn*)> conn_;
  absl::flat_hash_map<std::string, std::string> prepared_;  // By text.
  bool broken_ = false;
};

}  // namespace viaduct
