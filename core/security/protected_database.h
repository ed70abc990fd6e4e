// The small SQLite files of this room: one process at a time, mode 0600, durable at once.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "core/base/sqlite.h"

namespace viaduct::security {

struct DatabaseFormat {
  int application_id;
  int version;
  const char* create_sql;
};

// Opens or makes the file. UNAVAILABLE: another process has it; what that one keeps in memory would
// not hear of a change. FAILED_PRECONDITION: others may read it, or a newer program made it.
// DATA_LOSS: it is damaged, or something else.
absl::StatusOr<sqlite::SqliteHandle> OpenProtectedDatabase(const std::string& path,
                                                           const DatabaseFormat& format);

// All of it as the octets of a file of its own.
absl::StatusOr<std::string> SerializeDatabase(sqlite3* db);

// One transaction: it is there as a whole or not at all, whatever kills the process.
// Thread-compatible.
class Transaction {
 public:
  static absl::StatusOr<Transaction> Begin(sqlite3* db);
  Transaction(Transaction&& other) noexcept : db_(other.db_) { other.db_ = nullptr; }
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();  // Takes back what was not committed.
  absl::Status Commit();

 private:
  explicit Transaction(sqlite3* db) : db_(db) {}
  sqlite3* db_;
};

}  // namespace viaduct::security
