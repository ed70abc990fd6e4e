#include "core/backup/backup_database.h"

#include <fcntl.h>

#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "core/base/descriptor.h"
#include "core/base/disk_files.h"
#include "core/base/durable_file.h"
#include "core/base/sqlite.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"

namespace viaduct::backup {
namespace {

using sqlite::SqliteHandle;
using sqlite::Statement;

constexpr int kPagesAtOnce = 256;
constexpr int kBusyTimeoutMs = 2000;

struct BackupCloser {
  void operator()(sqlite3_backup* backup) const { sqlite3_backup_finish(backup); }
};

// As a URI, because only that can say that nobody writes it.
absl::StatusOr<SqliteHandle> OpenCopy(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    const bool plain = absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '/' || c == '.' ||
                       c == '-' || c == '_';
    if (plain) {
      uri.push_back(c);
    } else {
      absl::StrAppend(&uri, "%", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  uri += "?immutable=1";
  VD_ASSIGN_OR_RETURN(SqliteHandle db,
                      sqlite::OpenSqlite(uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, ""));
  VD_RETURN_IF_ERROR(
      sqlite::Execute(db.get(), "PRAGMA trusted_schema=OFF;PRAGMA cell_size_check=ON"));
  return db;
}

absl::Status CopyPages(sqlite3* from, sqlite3* to, Pace* pace) {
  const std::unique_ptr<sqlite3_backup, BackupCloser> backup(
      sqlite3_backup_init(to, "main", from, "main"));
  if (backup == nullptr) return sqlite::SqliteStatus(to, sqlite3_errcode(to), "begin a backup");
  VD_ASSIGN_OR_RETURN(const int64_t page_bytes, sqlite::QueryInt(from, "PRAGMA page_size"));
  while (true) {
    const int code = sqlite3_backup_step(backup.get(), kPagesAtOnce);
    if (code == SQLITE_DONE) return absl::OkStatus();
    if (code != SQLITE_OK) return sqlite::SqliteStatus(to, code, "copy a database");
    VD_RETURN_IF_ERROR(pace->Spend(static_cast<uint64_t>(kPagesAtOnce * page_bytes)));
  }
}

}  // namespace

absl::Status CopyDatabase(const std::string& from, const std::string& to, Pace* pace) {
  {
    const Descriptor made(
        open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (made.get() < 0) return FileFailure(to, "create");
  }
  VD_ASSIGN_OR_RETURN(const SqliteHandle source,
                      sqlite::OpenSqlite(from, SQLITE_OPEN_READWRITE, ""));
  sqlite3_busy_timeout(source.get(), kBusyTimeoutMs);
  VD_ASSIGN_OR_RETURN(SqliteHandle target, sqlite::OpenSqlite(to, SQLITE_OPEN_READWRITE, ""));
  // No journal: half a copy is thrown away.
  VD_RETURN_IF_ERROR(
      sqlite::Execute(target.get(), "PRAGMA synchronous=OFF;PRAGMA journal_mode=OFF"));
  // The transaction keeps the moment, whoever writes meanwhile.
  VD_RETURN_IF_ERROR(sqlite::Execute(source.get(), "BEGIN;SELECT count(*) FROM sqlite_schema"));
  const absl::Status copied = CopyPages(source.get(), target.get(), pace);
  sqlite::Execute(source.get(), "ROLLBACK").IgnoreError();
  VD_RETURN_IF_ERROR(copied);
  target.reset();
  return disk::SyncFile(to);
}

absl::Status CheckDatabase(const std::string& path) {
  VD_ASSIGN_OR_RETURN(const SqliteHandle db, OpenCopy(path));
  Statement check("PRAGMA integrity_check(1)");
  VD_RETURN_IF_ERROR(check.Start(db.get()));
  VD_ASSIGN_OR_RETURN(const bool row, check.Step());
  const std::string found = row ? std::string(check.Text(0)) : "nothing was said";
  check.Finalize();
  if (found == "ok") return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(path, ": damaged, ", found));
}

absl::StatusOr<std::map<std::string, uint64_t>> CountRows(const std::string& path) {
  VD_ASSIGN_OR_RETURN(const SqliteHandle db, OpenCopy(path));
  std::map<std::string, uint64_t> rows;
  Statement tables(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'");
  VD_RETURN_IF_ERROR(tables.Start(db.get()));
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool row, tables.Step());
    if (!row) break;
    if (rows.size() == kMaxTables) {
      return absl::DataLossError(absl::StrCat(path, ": more than ", kMaxTables, " tables"));
    }
    rows.emplace(tables.Text(0), 0);
  }
  tables.Finalize();
  for (auto& [table, count] : rows) {
    const std::string sql =
        absl::StrCat("SELECT count(*) FROM \"", absl::StrReplaceAll(table, {{"\"", "\"\""}}), "\"");
    VD_ASSIGN_OR_RETURN(const int64_t counted, sqlite::QueryInt(db.get(), sql.c_str()));
    count = static_cast<uint64_t>(counted);
  }
  return rows;
}

absl::Status EachText(const std::string& path, const char* sql,
                      const std::function<absl::Status(std::string_view)>& each) {
  VD_ASSIGN_OR_RETURN(const SqliteHandle db, OpenCopy(path));
  Statement texts(sql);
  VD_RETURN_IF_ERROR(texts.Start(db.get()));
  absl::Status status;
  while (status.ok()) {
    const absl::StatusOr<bool> row = texts.Step();
    if (!row.ok()) status = row.status();
    if (!row.ok() || !*row) break;
    const std::string text(texts.Text(0));
    for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
      if (status.ok()) status = each(StdView(line));
    }
  }
  texts.Finalize();
  return status;
}

}  // namespace viaduct::backup
