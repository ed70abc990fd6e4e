#include "core/store/sqlite_db.h"

#include <cerrno>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

constexpr int kProgressSteps = 2000;  // Virtual machine steps between looks at the clock.

bool NoSpace(sqlite3* db) {
  const int error = db == nullptr ? 0 : sqlite3_system_errno(db);
  return error == ENOSPC || error == EDQUOT;
}

absl::StatusCode CodeFor(sqlite3* db, int code) {
  // After a failed sync nobody knows what the disk holds: never the code of "nothing was written".
  if (code == SQLITE_IOERR_FSYNC) return absl::StatusCode::kUnavailable;
  switch (code & 0xff) {
    case SQLITE_FULL:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      return NoSpace(db) ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kUnavailable;
    case SQLITE_READONLY:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_NOMEM:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return absl::StatusCode::kUnavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_CONSTRAINT:
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
      return absl::StatusCode::kInvalidArgument;
    case SQLITE_INTERRUPT:
      return absl::StatusCode::kDeadlineExceeded;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

absl::Status SqliteStatus(sqlite3* db, int code, std::string_view what) {
  const char* text = db != nullptr && (sqlite3_errcode(db) & 0xff) == (code & 0xff)
                         ? sqlite3_errmsg(db)
                         : sqlite3_errstr(code);
  return absl::Status(CodeFor(db, code),
                      absl::StrCat("store: ", AbslView(what), ", ", text, " (", code, ")"));
}

SqliteStatement& SqliteStatement::operator=(SqliteStatement&& other) noexcept {
  std::swap(stmt_, other.stmt_);
  return *this;
}

std::string_view SqliteStatement::View(int column) const {
  const void* data = sqlite3_column_blob(stmt_, column);
  const int size = sqlite3_column_bytes(stmt_, column);
  return data == nullptr
             ? std::string_view()
             : std::string_view(static_cast<const char*>(data), static_cast<size_t>(size));
}

absl::Status SqliteStatement::Run(std::string_view what) {
  const int code = sqlite3_step(stmt_);
  if (code == SQLITE_DONE || code == SQLITE_ROW) {
    sqlite3_reset(stmt_);
    return absl::OkStatus();
  }
  const absl::Status status = SqliteStatus(sqlite3_db_handle(stmt_), code, what);
  sqlite3_reset(stmt_);
  return status;
}

absl::StatusOr<bool> SqliteStatement::Next(std::string_view what) {
  const int code = sqlite3_step(stmt_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return SqliteStatus(sqlite3_db_handle(stmt_), code, what);
}

SqliteDb::SqliteDb(sqlite3* db, const Clock* clock) : db_(db), clock_(clock) {
  sqlite3_progress_handler(db_, kProgressSteps, &SqliteDb::OnProgress, this);
}

SqliteDb::~SqliteDb() { sqlite3_close_v2(db_); }

int SqliteDb::OnProgress(void* self) {
  const auto* db = static_cast<const SqliteDb*>(self);
  return db->deadline_ns_ != 0 && db->clock_->MonotonicNanos() > db->deadline_ns_ ? 1 : 0;
}

absl::StatusOr<std::unique_ptr<SqliteDb>> SqliteDb::Open(const std::string& path,
                                                         const Options& options,
                                                         const Clock* clock) {
  sqlite3* handle = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                    (options.create ? SQLITE_OPEN_CREATE : 0);
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  if (code != SQLITE_OK) {
    const absl::Status status = SqliteStatus(handle, code, absl::StrCat("cannot open ", path));
    sqlite3_close_v2(handle);
    return status;
  }
  auto db = absl::WrapUnique(new SqliteDb(handle, clock));
  sqlite3_busy_timeout(handle, options.busy_timeout_ms);
  sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, 256 << 20);
  const std::string pragmas =
      absl::StrCat("PRAGMA cache_size=-", options.cache_kib,
                   ";PRAGMA secure_delete=OFF;PRAGMA temp_store=MEMORY;PRAGMA "
                   "trusted_schema=OFF;PRAGMA cell_size_check=ON;",
                   options.read_only ? "PRAGMA query_only=ON;" : "");
  VD_RETURN_IF_ERROR(db->Exec(pragmas.c_str()));
  return db;
}

absl::Status SqliteDb::Exec(const char* sql) {
  const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  if (code == SQLITE_OK) return absl::OkStatus();
  const std::string_view text(sql);
  return Error(code, absl::StrCat("cannot run \"", AbslView(text.substr(0, 60)), "\""));
}

absl::StatusOr<SqliteStatement> SqliteDb::Prepare(std::string_view sql) {
  sqlite3_stmt* stmt = nullptr;
  const int code = sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &stmt, nullptr);
  if (code == SQLITE_OK) return SqliteStatement(stmt);
  return Error(code, absl::StrCat("cannot prepare \"", AbslView(sql.substr(0, 60)), "\""));
}

absl::StatusOr<int64_t> SqliteDb::QueryInt(std::string_view sql) {
  VD_ASSIGN_OR_RETURN(SqliteStatement statement, Prepare(sql));
  VD_ASSIGN_OR_RETURN(const bool row, statement.Next(sql));
  if (!row) return absl::NotFoundError(absl::StrCat("store: no row, ", AbslView(sql)));
  return statement.Int(0);
}

}  // namespace viaduct
