#include "core/security/protected_database.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/base/crash_point.h"
#include "core/base/descriptor.h"
#include "core/base/status_macros.h"
#include "core/security/secret_octets.h"

namespace viaduct::security {
namespace {

using sqlite::Execute;
using sqlite::QueryInt;

// SQLite gives its log the mode of the file, so the file has to have the right one before.
absl::Status MakeFile(const std::string& path) {
  const Descriptor file(
      ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.get() >= 0 || errno == EEXIST) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(path, ": cannot create, ", strerror(errno)));
}

absl::Status Configure(sqlite3* db) {
  constexpr int kBusyTimeoutMs = 200;
  sqlite3_busy_timeout(db, kBusyTimeoutMs);
  return Execute(db,
                 "PRAGMA locking_mode=EXCLUSIVE;PRAGMA mmap_size=0;PRAGMA cache_size=-512;"
                 "PRAGMA trusted_schema=OFF;PRAGMA cell_size_check=ON;PRAGMA temp_store=MEMORY;"
                 "PRAGMA secure_delete=ON;PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL");
}

absl::Status Create(sqlite3* db, const DatabaseFormat& format) {
  VD_RETURN_IF_ERROR(Execute(db, format.create_sql));
  const std::string sql = absl::StrCat("PRAGMA application_id=", format.application_id,
                                       ";PRAGMA user_version=", format.version);
  return Execute(db, sql.c_str());
}

absl::Status CheckFormat(sqlite3* db, const std::string& path, const DatabaseFormat& format) {
  VD_ASSIGN_OR_RETURN(const int64_t id, QueryInt(db, "PRAGMA application_id"));
  VD_ASSIGN_OR_RETURN(const int64_t version, QueryInt(db, "PRAGMA user_version"));
  VD_ASSIGN_OR_RETURN(const int64_t tables, QueryInt(db, "SELECT count(*) FROM sqlite_schema"));
  if (id == 0 && version == 0 && tables == 0) return Create(db, format);
  if (id != format.application_id) {
    return absl::DataLossError(absl::StrCat(path, ": another kind of file, application_id ", id));
  }
  if (version != format.version) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": made by another version, ", version,
                                                      ", this program knows ", format.version));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<sqlite::SqliteHandle> OpenProtectedDatabase(const std::string& path,
                                                           const DatabaseFormat& format) {
  VD_RETURN_IF_ERROR(MakeFile(path));
  VD_RETURN_IF_ERROR(CheckProtected(path));
  VD_ASSIGN_OR_RETURN(sqlite::SqliteHandle db, sqlite::OpenSqlite(path, SQLITE_OPEN_READWRITE, ""));
  VD_RETURN_IF_ERROR(Configure(db.get()));
  // The lock is taken by the first transaction and then kept.
  VD_ASSIGN_OR_RETURN(Transaction first, Transaction::Begin(db.get()));
  VD_RETURN_IF_ERROR(CheckFormat(db.get(), path, format));
  VD_RETURN_IF_ERROR(first.Commit());
  return db;
}

absl::StatusOr<std::string> SerializeDatabase(sqlite3* db) {
  sqlite3_int64 size = 0;
  unsigned char* const octets = sqlite3_serialize(db, "main", &size, 0);
  if (octets == nullptr) return sqlite::SqliteStatus(db, SQLITE_NOMEM, "copy a database");
  std::string copy(static_cast<const char*>(static_cast<const void*>(octets)),
                   static_cast<size_t>(size));
  sqlite3_free(octets);
  return copy;
}

absl::StatusOr<Transaction> Transaction::Begin(sqlite3* db) {
  VD_RETURN_IF_ERROR(Execute(db, "BEGIN IMMEDIATE"));
  return Transaction(db);
}

Transaction::~Transaction() {
  if (db_ != nullptr && sqlite3_get_autocommit(db_) == 0) Execute(db_, "ROLLBACK").IgnoreError();
}

absl::Status Transaction::Commit() {
  VD_CRASH_POINT("security.commit.before");
  VD_RETURN_IF_ERROR(Execute(db_, "COMMIT"));
  VD_CRASH_POINT("security.commit.after");
  db_ = nullptr;
  return absl::OkStatus();
}

}  // namespace viaduct::security
