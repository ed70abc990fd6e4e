// The store: reached with these credentials, of a version that can be used, with a schema of ours.
#include <sqlite3.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/disk_files.h"
#include "core/base/sqlite.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/config/backup_options.h"
#include "core/store/postgres_connection.h"
#include "core/store/postgres_dump.h"
#include "core/store/postgres_schema.h"
#include "core/store/sqlite_schema.h"
#include "host/doctor/diagnosis.h"
#include "host/node/storage.h"

namespace viaduct::doctor {
namespace {

constexpr int64_t kLeastServer = 130'000;  // PostgreSQL 13.

void JudgeSchema(const std::string& subject, const std::string& reached, int64_t found,
                 int64_t known, Diagnoses* out) {
  const std::string text = absl::StrCat(reached, ", schema ", found);
  if (found > known) {
    return out->Fail(subject, absl::StrCat(text, ", this program knows ", known),
                     "install the newer version again, or restore a backup of the older one");
  }
  if (found == 0) return out->Ok(subject, absl::StrCat(reached, ", no tables yet"));
  out->Ok(subject, found < known ? text + ", the node brings it up to date" : text);
}

// "db1:5432/viaduct" of what libpq made of it, which has no secret.
absl::Status LookAtServer(const PostgresAddress& address, Diagnoses* out) {
  PgConnection::Options options;
  options.address = address;
  options.application_name = "viaduct doctor";
  options.read_only = true;
  VD_ASSIGN_OR_RETURN(const std::unique_ptr<PgConnection> db, PgConnection::Open(options));
  VD_ASSIGN_OR_RETURN(const int64_t version,
                      db->QueryInt("SELECT current_setting('server_version_num')::bigint"));
  const std::string reached = absl::StrCat("reached, PostgreSQL ", version / 10'000);
  if (version < kLeastServer) {
    out->Fail("postgresql", reached, "PostgreSQL 13 or newer is needed");
    return absl::OkStatus();
  }
  VD_ASSIGN_OR_RETURN(
      const int64_t tables,
      db->QueryInt("SELECT count(*) FROM pg_class WHERE relname = 'schema_version'"));
  int64_t schema = 0;
  if (tables > 0) {
    VD_ASSIGN_OR_RETURN(schema,
                        db->QueryInt("SELECT coalesce(max(version), 0) FROM schema_version"));
  }
  JudgeSchema("postgresql", reached, schema, LatestPostgresSchemaVersion(), out);
  return absl::OkStatus();
}

void CheckPostgres(const NodeConfig& config, Diagnoses* out) {
  const absl::Status looked = LookAtServer(AddressOf(*config.store.postgresql), out);
  if (!looked.ok()) {
    out->Fail("postgresql", StdView(looked.message()),
              "start the server, or mend store.postgresql: address, user, password");
  }
  if (ReadBackupOptions(config).has_value() && FindPostgresProgram("pg_dump").empty()) {
    out->Fail("pg_dump", "is not there, no backup can be made",
              "install the package postgresql-client");
  }
}

absl::Status LookAtFile(const std::string& path, Diagnoses* out) {
  VD_ASSIGN_OR_RETURN(const sqlite::SqliteHandle db,
                      sqlite::OpenSqlite(path, SQLITE_OPEN_READWRITE, ""));
  sqlite3_busy_timeout(db.get(), 2000);
  VD_ASSIGN_OR_RETURN(const int64_t application,
                      sqlite::QueryInt(db.get(), "PRAGMA application_id"));
  if (application != kStoreApplicationId) {
    out->Fail(path, "is a file of another program", "move it away, or name another store.sqlite");
    return absl::OkStatus();
  }
  VD_ASSIGN_OR_RETURN(
      const int64_t schema,
      sqlite::QueryInt(db.get(), "SELECT coalesce(max(version), 0) FROM schema_version"));
  JudgeSchema(path, "read", schema, LatestSchemaVersion(), out);
  return absl::OkStatus();
}

}  // namespace

void CheckDatabase(const Patient& patient, Diagnoses* out) {
  out->BeginArea("database");
  const NodeConfig& config = *patient.config;
  if (!config.node.sink_store) return;
  if (config.store.postgresql.has_value()) return CheckPostgres(config, out);
  const std::string& path = config.store.sqlite_path;
  if (!disk::FileExists(path)) return out->Ok(path, "is not there yet, the node makes it");
  const absl::Status looked = LookAtFile(path, out);
  if (looked.ok()) return;
  out->Fail(path, StdView(looked.message()),
            absl::IsDataLoss(looked) ? "the node sets it aside and saves what can be read; restore "
                                       "a backup where that is not enough"
                                     : "give it to the node's user: chown");
}

}  // namespace viaduct::doctor
