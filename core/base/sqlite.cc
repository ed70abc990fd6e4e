#include "core/base/sqlite.h"

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"

namespace viaduct::sqlite {
namespace {

absl::StatusCode CodeFor(sqlite3* db, int code) {
  const int system_error = db == nullptr ? 0 : sqlite3_system_errno(db);
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
      return absl::StatusCode::kDataLoss;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_IOERR:
      if (code == SQLITE_IOERR_SHORT_READ) return absl::StatusCode::kDataLoss;
      // Growing the shared index or a sync may meet the full disk before a write does.
      if (system_error == ENOSPC || system_error == EDQUOT) {
        return absl::StatusCode::kResourceExhausted;
      }
      return absl::StatusCode::kUnavailable;
    case SQLITE_CANTOPEN:
      if (system_error == ENOSPC) return absl::StatusCode::kResourceExhausted;
      return absl::StatusCode::kUnavailable;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_INTERRUPT:
    case SQLITE_PROTOCOL:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

absl::Status SqliteStatus(sqlite3* db, int code, std::string_view what) {
  if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) return absl::OkStatus();
  const char* text = db == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(db);
  return absl::Status(CodeFor(db, code),
                      absl::StrCat("sqlite: ", AbslView(what), ", ", text, " (", code, ")"));
}

absl::StatusOr<SqliteHandle> OpenSqlite(const std::string& path, int flags,
                                        const std::string& vfs) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags, vfs.empty() ? nullptr : vfs.c_str());
  SqliteHandle db(raw);
  if (code != SQLITE_OK) return SqliteStatus(raw, code, absl::StrCat("open ", path));
  sqlite3_extended_result_codes(raw, 1);
  return db;
}

absl::Status Execute(sqlite3* db, const char* sql) {
  return SqliteStatus(db, sqlite3_exec(db, sql, nullptr, nullptr, nullptr), sql);
}

absl::StatusOr<int64_t> QueryInt(sqlite3* db, const char* sql) {
  Statement statement(sql);
  VD_RETURN_IF_ERROR(statement.Start(db));
  VD_ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) return absl::NotFoundError(absl::StrCat("sqlite: no row, ", sql));
  return statement.Int(0);
}

absl::Status Statement::Start(sqlite3* db) {
  next_parameter_ = 1;
  if (statement_ != nullptr) {
    sqlite3_reset(statement_.get());
    return absl::OkStatus();
  }
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v3(db, sql_, -1, SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  db_ = db;
  statement_.reset(raw);
  // Our statements are constant and were right when the file was made: its schema is damaged.
  if ((code & 0xff) == SQLITE_ERROR) {
    return absl::DataLossError(absl::StrCat("sqlite: schema damaged, ", sqlite3_errmsg(db)));
  }
  return SqliteStatus(db, code, sql_);
}

Statement& Statement::Bind(int64_t value) {
  sqlite3_bind_int64(statement_.get(), next_parameter_++, value);
  return *this;
}

Statement& Statement::Bind(std::string_view text) {
  sqlite3_bind_text64(statement_.get(), next_parameter_++,
                      text.data() == nullptr ? "" : text.data(), text.size(), SQLITE_STATIC,
                      SQLITE_UTF8);
  return *this;
}

Statement& Statement::BindBlob(std::string_view blob) {
  sqlite3_bind_blob64(statement_.get(), next_parameter_++, blob.data(), blob.size(), SQLITE_STATIC);
  return *this;
}

absl::StatusOr<bool> Statement::Step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  absl::Status status = SqliteStatus(db_, code, sql_);
  Reset();
  return status;
}

absl::Status Statement::Run() {
  VD_ASSIGN_OR_RETURN([[maybe_unused]] const bool row, Step());
  Reset();
  return absl::OkStatus();
}

void Statement::Reset() {
  if (statement_ != nullptr) sqlite3_reset(statement_.get());
}

std::string_view Statement::Text(int column) const {
  // Blob access reads text as it is stored, also where a damaged file says it is something else.
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  if (data == nullptr || size <= 0) return {};
  return std::string_view(static_cast<const char*>(data), static_cast<size_t>(size));
}

}  // namespace viaduct::sqlite
