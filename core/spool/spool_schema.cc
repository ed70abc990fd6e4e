#include "core/spool/spool_schema.h"

#include <string_view>

#include "absl/strings/str_cat.h"
#include "core/base/crash_point.h"
#include "core/base/status_macros.h"
#include "core/spool/spool_files.h"

namespace viaduct::spool_internal {
namespace {

constexpr char kCreate[] = R"sql(
CREATE TABLE message(
  key INTEGER PRIMARY KEY, crc INTEGER, type INTEGER, captured_ms INTEGER, accepted_ms INTEGER,
  spool_ms INTEGER, message_id TEXT, device TEXT, envelope TEXT);
CREATE TABLE dead(
  key INTEGER PRIMARY KEY, crc INTEGER, type INTEGER, captured_ms INTEGER, accepted_ms INTEGER,
  spool_ms INTEGER, message_id TEXT, device TEXT, envelope TEXT,
  dead_ms INTEGER, damaged INTEGER, reason TEXT);
CREATE TABLE attempt(
  key INTEGER PRIMARY KEY, crc INTEGER, attempts INTEGER, rejects INTEGER, error TEXT);
CREATE TABLE state(id INTEGER PRIMARY KEY, fields BLOB);
)sql";

absl::Status SetVersion(sqlite3* db, int version) {
  const std::string sql = absl::StrCat("PRAGMA user_version=", version,
                                       ";PRAGMA application_id=", kApplicationIdBase | version);
  return Execute(db, sql.c_str());
}

absl::Status InsertState(sqlite3* db, const SpoolState& state) {
  Statement insert("INSERT INTO state(id, fields) VALUES(1, ?)");
  VD_RETURN_IF_ERROR(insert.Start(db));
  const std::string blob = EncodeState(state);
  insert.BindBlob(blob);
  return insert.Run();
}

absl::Status SetFormat(sqlite3* db) {
  const std::string page_size = absl::StrCat("PRAGMA page_size=", kPageBytes);
  VD_RETURN_IF_ERROR(Execute(db, page_size.c_str()));
  return Execute(db, "PRAGMA auto_vacuum=INCREMENTAL");
}

absl::Status Fill(sqlite3* db, const SpoolState& state) {
  VD_RETURN_IF_ERROR(SetFormat(db));
  VD_RETURN_IF_ERROR(Execute(db, "PRAGMA journal_mode=WAL"));
  VD_RETURN_IF_ERROR(Execute(db, "PRAGMA synchronous=FULL"));
  VD_RETURN_IF_ERROR(Execute(db, "BEGIN IMMEDIATE"));
  VD_RETURN_IF_ERROR(Execute(db, kCreate));
  VD_RETURN_IF_ERROR(SetVersion(db, kSchemaVersion));
  VD_RETURN_IF_ERROR(InsertState(db, state));
  VD_RETURN_IF_ERROR(Execute(db, "COMMIT"));
  return Execute(db, "PRAGMA wal_checkpoint(TRUNCATE)");
}

const Migration* FindMigration(absl::Span<const Migration> migrations, int64_t from) {
  for (const Migration& migration : migrations) {
    if (migration.from == from) return &migration;
  }
  return nullptr;
}

absl::Status Migrate(sqlite3* db, int64_t from, int target,
                     absl::Span<const Migration> migrations) {
  VD_CRASH_POINT("spool.migrate.before");
  VD_RETURN_IF_ERROR(Execute(db, "BEGIN IMMEDIATE"));
  for (int64_t version = from; version < target; ++version) {
    const Migration* step = FindMigration(migrations, version);
    absl::Status status =
        step == nullptr ? absl::DataLossError(absl::StrCat("spool: unknown version, ", version))
                        : Execute(db, step->sql);
    if (!status.ok()) {
      Execute(db, "ROLLBACK").IgnoreError();
      return status;
    }
  }
  VD_RETURN_IF_ERROR(SetVersion(db, target));
  VD_RETURN_IF_ERROR(Execute(db, "COMMIT"));
  VD_CRASH_POINT("spool.migrate.after");
  return absl::OkStatus();
}

}  // namespace

absl::Span<const Migration> Migrations() { return {}; }  // Version 1 is the first one.

absl::Status ConfigureConnection(sqlite3* db, int cache_kib) {
  constexpr int kBusyTimeoutMs = 2'000;
  sqlite3_busy_timeout(db, kBusyTimeoutMs);
  const std::string sql = absl::StrCat(
      "PRAGMA mmap_size=0;PRAGMA cache_size=-", cache_kib,
      ";PRAGMA synchronous=FULL;PRAGMA secure_delete=OFF;PRAGMA temp_store=MEMORY;"
      "PRAGMA cell_size_check=ON;PRAGMA trusted_schema=OFF;PRAGMA wal_autocheckpoint=0");
  return Execute(db, sql.c_str());
}

absl::Status CreateSpoolFile(const std::string& path, const std::string& vfs,
                             const SpoolState& state) {
  VD_CRASH_POINT("spool.create.before");
  for (const char* suffix : {"", "-wal", "-shm"}) {
    VD_RETURN_IF_ERROR(RemoveFile(path + suffix));
  }
  VD_ASSIGN_OR_RETURN(SqliteHandle db,
                      OpenSqlite(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs));
  VD_RETURN_IF_ERROR(Fill(db.get(), state));
  db.reset();
  VD_RETURN_IF_ERROR(SyncFile(path));
  VD_CRASH_POINT("spool.create.after");
  return absl::OkStatus();
}

namespace {

absl::StatusOr<std::string> DescribeSchema(sqlite3* db) {
  Statement query(
      "SELECT group_concat(type || ',' || name || ',' || tbl_name || ',' || rootpage || ',' || sql,"
      " ';') FROM (SELECT * FROM sqlite_schema ORDER BY rootpage)");
  VD_RETURN_IF_ERROR(query.Start(db));
  VD_ASSIGN_OR_RETURN([[maybe_unused]] const bool row, query.Step());
  return std::string(query.Text(0));
}

}  // namespace

absl::Status CheckSchema(sqlite3* db) {
  VD_ASSIGN_OR_RETURN(SqliteHandle model,
                      OpenSqlite(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, ""));
  VD_RETURN_IF_ERROR(SetFormat(model.get()));
  VD_RETURN_IF_ERROR(Execute(model.get(), kCreate));
  VD_ASSIGN_OR_RETURN(const std::string expected, DescribeSchema(model.get()));
  VD_ASSIGN_OR_RETURN(const std::string found, DescribeSchema(db));
  if (found == expected) return absl::OkStatus();
  return absl::DataLossError("spool: schema damaged");
}

absl::Status CheckHeader(const std::string& path) {
  // Offset, and the bytes that must be there; see the "Database Header Format" of SQLite.
  struct Field {
    size_t offset;
    std::string_view bytes;
  };
  using std::string_view_literals::operator""sv;
  static constexpr Field kFields[] = {{0, "SQLite format 3\0"sv},
                                      {16, "\x10\0"sv},  // Page size 4096.
                                      {18, "\2\2"sv},    // Written and read with a log.
                                      {20, "\0\x40\x20\x20"sv},
                                      {44, "\0\0\0\4"sv},   // Schema format.
                                      {56, "\0\0\0\1"sv},   // UTF-8.
                                      {64, "\0\0\0\1"sv}};  // Gives pages back when told.
  VD_ASSIGN_OR_RETURN(const std::string header, ReadStart(path, 100));
  for (const Field& field : kFields) {
    if (header.compare(field.offset, field.bytes.size(), field.bytes) == 0) continue;
    return absl::DataLossError(absl::StrCat("spool: header damaged, at byte ", field.offset));
  }
  return absl::OkStatus();
}

absl::Status CheckAndMigrate(sqlite3* db, int target, absl::Span<const Migration> migrations) {
  VD_ASSIGN_OR_RETURN(const int64_t user_version, QueryInt(db, "PRAGMA user_version"));
  VD_ASSIGN_OR_RETURN(const int64_t application_id, QueryInt(db, "PRAGMA application_id"));
  const int64_t version = application_id & 0xff;
  if ((application_id & ~int64_t{0xff}) != kApplicationIdBase || version != user_version) {
    return absl::DataLossError(absl::StrCat("spool: not a spool file, application_id ",
                                            application_id, ", user_version ", user_version));
  }
  if (version > target) {
    return absl::FailedPreconditionError(absl::StrCat("spool: made by a newer program, version ",
                                                      version, ", this program knows up to ",
                                                      target));
  }
  if (version < target) VD_RETURN_IF_ERROR(Migrate(db, version, target, migrations));
  return absl::OkStatus();
}

}  // namespace viaduct::spool_internal
