// SQLite as the store uses it: connections, statements and errors as absl::Status.
#pragma once

#include <sqlite3.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/clock.h"

namespace viaduct {

// What a result code asks of the caller:
//   RESOURCE_EXHAUSTED  no space, nothing was written
//   UNAVAILABLE         the disk or a lock; after a commit it is unknown what was written
//   DATA_LOSS           the file is damaged
//   INVALID_ARGUMENT    this record
//   DEADLINE_EXCEEDED   interrupted
//   INTERNAL            anything else
absl::Status SqliteStatus(sqlite3* db, int code, std::string_view what);

// Thread-compatible.
class SqliteStatement {
 public:
  SqliteStatement() = default;
  SqliteStatement(SqliteStatement&& other) noexcept : stmt_(other.stmt_) { other.stmt_ = nullptr; }
  SqliteStatement& operator=(SqliteStatement&& other) noexcept;
  ~SqliteStatement() { sqlite3_finalize(stmt_); }

  // Text and blobs are borrowed until the next Reset.
  void Bind(int index, std::string_view text) {
    sqlite3_bind_text64(stmt_, index, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
  }
  void Bind(int index, int64_t value) { sqlite3_bind_int64(stmt_, index, value); }
  void Bind(int index, double value) { sqlite3_bind_double(stmt_, index, value); }
  void BindBlob(int index, const void* data, size_t size) {
    sqlite3_bind_blob64(stmt_, index, data, size, SQLITE_STATIC);
  }
  void BindNull(int index) { sqlite3_bind_null(stmt_, index); }
  void BindTextOrNull(int index, std::string_view text) {
    text.empty() ? BindNull(index) : Bind(index, text);
  }
  void Bind(int index, const std::optional<double>& value) {
    value.has_value() ? Bind(index, *value) : BindNull(index);
  }
  void Bind(int index, const std::optional<std::string>& value) {
    value.has_value() ? Bind(index, std::string_view(*value)) : BindNull(index);
  }

  // A column of another statement's current row, as it is.
  void BindFrom(int index, const SqliteStatement& row, int column) {
    sqlite3_bind_value(stmt_, index, sqlite3_column_value(row.stmt_, column));
  }

  // SQLITE_ROW, SQLITE_DONE or an error code.
  int Step() { return sqlite3_step(stmt_); }
  void Reset() { sqlite3_reset(stmt_); }
  // Steps a statement that gives no rows and resets it.
  absl::Status Run(std::string_view what);
  // True: a row is there to be read; false: done. Reset afterwards.
  absl::StatusOr<bool> Next(std::string_view what);

  bool IsNull(int column) const { return sqlite3_column_type(stmt_, column) == SQLITE_NULL; }
  int64_t Int(int column) const { return sqlite3_column_int64(stmt_, column); }
  double Real(int column) const { return sqlite3_column_double(stmt_, column); }
  std::string_view View(int column) const;  // Until the next Step or Reset.
  std::string Text(int column) const { return std::string(View(column)); }

  bool prepared() const { return stmt_ != nullptr; }

 private:
  friend class SqliteDb;
  explicit SqliteStatement(sqlite3_stmt* stmt) : stmt_(stmt) {}

  sqlite3_stmt* stmt_ = nullptr;
};

// Resets when the scope ends: a statement left open would hold a read transaction.
class StatementScope {
 public:
  explicit StatementScope(SqliteStatement* statement) : statement_(statement) {}
  ~StatementScope() { statement_->Reset(); }
  StatementScope(const StatementScope&) = delete;
  StatementScope& operator=(const StatementScope&) = delete;

 private:
  SqliteStatement* const statement_;
};

// One connection. Thread-compatible.
class SqliteDb {
 public:
  struct Options {
    bool create = false;
    bool read_only = false;  // Writes are refused.
    int cache_kib = 1024;
    int busy_timeout_ms = 2000;
  };
  // `clock` serves SetDeadline and must outlive the connection.
  static absl::StatusOr<std::unique_ptr<SqliteDb>> Open(const std::string& path,
                                                        const Options& options, const Clock* clock);
  ~SqliteDb();
  SqliteDb(const SqliteDb&) = delete;
  SqliteDb& operator=(const SqliteDb&) = delete;

  absl::Status Exec(const char* sql);
  absl::StatusOr<SqliteStatement> Prepare(std::string_view sql);
  // First column of the first row; NOT_FOUND without a row.
  absl::StatusOr<int64_t> QueryInt(std::string_view sql);

  // Statements end with DEADLINE_EXCEEDED once the clock passes it; 0: no deadline.
  void SetDeadline(int64_t monotonic_ns) { deadline_ns_ = monotonic_ns; }

  absl::Status Error(int code, std::string_view what) { return SqliteStatus(db_, code, what); }
  int64_t Changes() const { return sqlite3_changes64(db_); }
  bool InTransaction() const { return sqlite3_get_autocommit(db_) == 0; }
  sqlite3* handle() { return db_; }

 private:
  SqliteDb(sqlite3* db, const Clock* clock);
  static int OnProgress(void* self);

  sqlite3* const db_;
  const Clock* const clock_;
  int64_t deadline_ns_ = 0;
};

}  // namespace viaduct
