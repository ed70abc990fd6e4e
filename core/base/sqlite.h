// The little of SQLite that durable queues need, with absl::Status.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace viaduct::sqlite {

// DATA_LOSS: the file is damaged. RESOURCE_EXHAUSTED: no space. UNAVAILABLE: the disk or another
// process is in the way, trying again may help. Anything else is INTERNAL.
absl::Status SqliteStatus(sqlite3* db, int code, std::string_view what);

struct SqliteCloser {
  void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using SqliteHandle = std::unique_ptr<sqlite3, SqliteCloser>;

// `vfs` is empty for the default one.
absl::StatusOr<SqliteHandle> OpenSqlite(const std::string& path, int flags, const std::string& vfs);
absl::Status Execute(sqlite3* db, const char* sql);
// First column of the first row; NOT_FOUND when there is no row.
absl::StatusOr<int64_t> QueryInt(sqlite3* db, const char* sql);

// A statement that is prepared when first used. Text from a column is valid until the next Step or
// Reset. Thread-compatible, like its connection.
class Statement {
 public:
  explicit Statement(const char* sql) : sql_(sql) {}

  // Prepares on first use, resets and forgets old bindings.
  absl::Status Start(sqlite3* db);
  Statement& Bind(int64_t value);
  Statement& Bind(std::string_view text);      // Borrowed until Reset.
  Statement& BindBlob(std::string_view blob);  // Borrowed until Reset.
  // True: a row is there. False: done.
  absl::StatusOr<bool> Step();
  // For statements without rows: to the end, then Reset.
  absl::Status Run();
  void Reset();
  // Before the connection closes.
  void Finalize() { statement_.reset(); }

  int64_t Int(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  std::string_view Text(int column) const;

 private:
  const char* const sql_;
  sqlite3* db_ = nullptr;
  std::unique_ptr<sqlite3_stmt, SqliteCloser> statement_;
  int next_parameter_ = 1;
};

}  // namespace viaduct::sqlite
