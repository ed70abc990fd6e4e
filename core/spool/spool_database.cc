#include "core/spool/spool_database.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/spool/spool_schema.h"

namespace viaduct::spool_internal {
namespace {

constexpr int kWriteCacheKib = 4096;
constexpr int kReadCacheKib = 1024;
constexpr int kMaxTextBytes = 256;  // Of an error or reason that is kept with a row.

// A damaged row may hold anything; types are checked again where the checksum is.
SpoolRow RowFrom(const Statement& s, bool brief) {
  SpoolRow row;
  row.key = s.Int(0);
  row.type = static_cast<DataType>(s.Int(2) & 0xff);
  row.captured_ms = s.Int(3);
  row.accepted_ms = s.Int(4);
  row.spool_ms = s.Int(5);
  row.message_id = std::string(s.Text(6));
  row.device = std::string(s.Text(7));
  if (!brief) row.envelope_json = std::string(s.Text(8));
  return row;
}

AttemptRecord AttemptFrom(const Statement& s, int64_t key, int column) {
  AttemptRecord attempt;
  const auto attempts = static_cast<uint32_t>(s.Int(column));
  const auto rejects = static_cast<uint32_t>(s.Int(column + 1));
  if (s.Int(column + 3) != AttemptChecksum(key, attempts, rejects)) return attempt;
  attempt.attempts = attempts;
  attempt.rejects = rejects;
  attempt.error = std::string(s.Text(column + 2));
  return attempt;
}

bool KnownType(DataType type) { return type <= DataType::kControl; }

}  // namespace

#define VD_ROW_COLUMNS \
  "key, crc, type, captured_ms, accepted_ms, spool_ms, message_id, device, envelope"
#define VD_SELECT_ROW                                                                     \
  "SELECT m.key, m.crc, m.type, m.captured_ms, m.accepted_ms, m.spool_ms, m.message_id, " \
  "m.device, m.envelope, a.attempts, a.rejects, a.error, a.crc FROM message m LEFT JOIN " \
  "attempt a ON a.key = m.key "
#define VD_SELECT_BRIEF                                                                     \
  "SELECT m.key, m.crc, m.type, m.captured_ms, m.accepted_ms, m.spool_ms, m.message_id, "   \
  "m.device, length(CAST(m.envelope AS BLOB)), a.attempts, a.rejects, a.error, a.crc FROM " \
  "message m LEFT JOIN attempt a ON a.key = m.key "

struct SpoolDatabase::Statements {
  Statement begin{"BEGIN IMMEDIATE"};
  Statement begin_read{"BEGIN"};
  Statement commit{"COMMIT"};
  Statement read_state{"SELECT fields FROM state WHERE id=1"};
  Statement write_state{"INSERT OR REPLACE INTO state(id, fields) VALUES(1, ?)"};
  Statement insert{"INSERT INTO message(" VD_ROW_COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?)"};
  Statement insert_if_absent{"INSERT OR IGNORE INTO message(" VD_ROW_COLUMNS
                             ") VALUES(?,?,?,?,?,?,?,?,?)"};
  Statement erase{"DELETE FROM message WHERE key=?"};
  Statement put_attempt{
      "INSERT OR REPLACE INTO attempt(key, crc, attempts, rejects, error) VALUES(?,?,?,?,?)"};
  Statement erase_attempt{"DELETE FROM attempt WHERE key=?"};
  Statement insert_dead{"INSERT INTO dead(" VD_ROW_COLUMNS
                        ", dead_ms, damaged, reason) VALUES(?,?,?,?,?,?,?,?,?,?,?,?)"};
  Statement insert_dead_if_absent{"INSERT OR IGNORE INTO dead(" VD_ROW_COLUMNS
                                  ", dead_ms, damaged, reason) VALUES(?,?,?,?,?,?,?,?,?,?,?,?)"};
  Statement erase_dead{"DELETE FROM dead WHERE key=?"};
  Statement read_rows{VD_SELECT_ROW "WHERE m.key BETWEEN ? AND ? ORDER BY m.key LIMIT ?"};
  Statement read_brief{VD_SELECT_BRIEF "WHERE m.key BETWEEN ? AND ? ORDER BY m.key LIMIT ?"};
  Statement read_row{VD_SELECT_ROW "WHERE m.key=?"};
  // Columns before the envelope: its pages are not read.
  Statement read_order{
      "SELECT key, type, device FROM message WHERE key BETWEEN ? AND ? ORDER BY key LIMIT ?"};
  Statement first_dead{"SELECT ifnull(min(key), -1) FROM dead WHERE key BETWEEN ? AND ?"};
  Statement read_dead{"SELECT " VD_ROW_COLUMNS
                      ", dead_ms, damaged, reason FROM dead WHERE key BETWEEN ? AND ? "
                      "ORDER BY key LIMIT ?"};
};

#undef VD_ROW_COLUMNS
#undef VD_SELECT_ROW
#undef VD_SELECT_BRIEF

SpoolDatabase::SpoolDatabase(SqliteHandle db)
    : db_(std::move(db)), statements_(std::make_unique<Statements>()) {}

SpoolDatabase::~SpoolDatabase() = default;  // Members in reverse: statements before connection.

absl::StatusOr<std::unique_ptr<SpoolDatabase>> SpoolDatabase::Open(const std::string& path,
                                                                   const std::string& vfs,
                                                                   Mode mode) {
  // The reader too opens for writing: in WAL mode it takes part in the shared index.
  VD_ASSIGN_OR_RETURN(SqliteHandle db, OpenSqlite(path, SQLITE_OPEN_READWRITE, vfs));
  const bool write = mode == Mode::kWrite;
  VD_RETURN_IF_ERROR(ConfigureConnection(db.get(), write ? kWriteCacheKib : kReadCacheKib));
  auto database = std::unique_ptr<SpoolDatabase>(new SpoolDatabase(std::move(db)));
  if (write) {
    constexpr int64_t kKeptLogBytes = 16 << 20;
    const std::string limit = absl::StrCat("PRAGMA journal_size_limit=", kKeptLogBytes);
    VD_RETURN_IF_ERROR(Execute(database->handle(), limit.c_str()));
    sqlite3_wal_hook(database->handle(), &SpoolDatabase::OnLogWritten, database.get());
    database->checkpointer_ = std::make_unique<WalCheckpointer>(path, vfs);
  } else {
    VD_RETURN_IF_ERROR(Execute(database->handle(), "PRAGMA query_only=ON"));
  }
  return database;
}

int SpoolDatabase::OnLogWritten(void* self, sqlite3*, const char*, int pages) {
  static_cast<SpoolDatabase*>(self)->log_pages_ = pages;
  return SQLITE_OK;
}

absl::Status SpoolDatabase::Begin(Sync sync) {
  if (sync != sync_) {
    const bool later = sync == Sync::kLater;
    VD_RETURN_IF_ERROR(
        Execute(db_.get(), later ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL"));
    sync_ = sync;
  }
  VD_RETURN_IF_ERROR(statements_->begin.Start(db_.get()));
  return statements_->begin.Run();
}

absl::Status SpoolDatabase::BeginRead() {
  VD_RETURN_IF_ERROR(statements_->begin_read.Start(db_.get()));
  return statements_->begin_read.Run();
}

absl::Status SpoolDatabase::Commit() {
  VD_RETURN_IF_ERROR(statements_->commit.Start(db_.get()));
  return statements_->commit.Run();
}

void SpoolDatabase::Rollback() {
  if (sqlite3_get_autocommit(db_.get()) == 0) Execute(db_.get(), "ROLLBACK").IgnoreError();
}

absl::StatusOr<SpoolState> SpoolDatabase::ReadState() {
  Statement& s = statements_->read_state;
  VD_RETURN_IF_ERROR(s.Start(db_.get()));
  VD_ASSIGN_OR_RETURN(const bool found, s.Step());
  SpoolState state;
  const bool good = found && DecodeState(s.Text(0), &state);
  s.Reset();
  if (!good) return absl::DataLossError("spool: state row missing or damaged");
  return state;
}

absl::Status SpoolDatabase::WriteState(const SpoolState& state) {
  Statement& s = statements_->write_state;
  VD_RETURN_IF_ERROR(s.Start(db_.get()));
  const std::string blob = EncodeState(state);
  s.BindBlob(blob);
  return s.Run();
}

absl::Status SpoolDatabase::BindRow(const SpoolRow& row, uint32_t crc, Statement* statement) {
  VD_RETURN_IF_ERROR(statement->Start(db_.get()));
  statement->Bind(row.key)
      .Bind(int64_t{crc})
      .Bind(static_cast<int64_t>(row.type))
      .Bind(row.captured_ms)
      .Bind(row.accepted_ms)
      .Bind(row.spool_ms)
      .Bind(std::string_view(row.message_id))
      .Bind(std::string_view(row.device))
      .Bind(std::string_view(row.envelope_json));
  return absl::OkStatus();
}

absl::Status SpoolDatabase::Insert(const SpoolRow& row) {
  VD_RETURN_IF_ERROR(BindRow(row, RowChecksum(row), &statements_->insert));
  return statements_->insert.Run();
}

absl::StatusOr<bool> SpoolDatabase::InsertIfAbsent(const SpoolRow& row) {
  VD_RETURN_IF_ERROR(BindRow(row, RowChecksum(row), &statements_->insert_if_absent));
  VD_RETURN_IF_ERROR(statements_->insert_if_absent.Run());
  return sqlite3_changes(db_.get()) > 0;
}

absl::StatusOr<bool> SpoolDatabase::Delete(int64_t key) {
  VD_RETURN_IF_ERROR(statements_->erase.Start(db_.get()));
  statements_->erase.Bind(key);
  VD_RETURN_IF_ERROR(statements_->erase.Run());
  return sqlite3_changes(db_.get()) > 0;
}

absl::Status SpoolDatabase::PutAttempt(int64_t key, const AttemptRecord& attempt) {
  Statement& s = statements_->put_attempt;
  VD_RETURN_IF_ERROR(s.Start(db_.get()));
  s.Bind(key)
      .Bind(int64_t{AttemptChecksum(key, attempt.attempts, attempt.rejects)})
      .Bind(int64_t{attempt.attempts})
      .Bind(int64_t{attempt.rejects})
      .Bind(std::string_view(attempt.error).substr(0, kMaxTextBytes));
  return s.Run();
}

absl::Status SpoolDatabase::DeleteAttempt(int64_t key) {
  VD_RETURN_IF_ERROR(statements_->erase_attempt.Start(db_.get()));
  statements_->erase_attempt.Bind(key);
  return statements_->erase_attempt.Run();
}

absl::Status SpoolDatabase::InsertDead(const DeadRow& dead, bool ignore_existing) {
  Statement& s = ignore_existing ? statements_->insert_dead_if_absent : statements_->insert_dead;
  VD_RETURN_IF_ERROR(BindRow(dead.row, DeadChecksum(dead), &s));
  s.Bind(dead.dead_ms).Bind(int64_t{dead.damaged}).Bind(std::string_view(dead.reason));
  return s.Run();
}

absl::StatusOr<bool> SpoolDatabase::DeleteDead(int64_t key) {
  VD_RETURN_IF_ERROR(statements_->erase_dead.Start(db_.get()));
  statements_->erase_dead.Bind(key);
  VD_RETURN_IF_ERROR(statements_->erase_dead.Run());
  return sqlite3_changes(db_.get()) > 0;
}

namespace {

StoredRow StoredFrom(const Statement& s, bool brief) {
  StoredRow stored;
  stored.row = RowFrom(s, brief);
  stored.bytes = RowBytes(stored.row);
  if (brief) stored.bytes += static_cast<uint64_t>(s.Int(8));
  stored.attempt = AttemptFrom(s, stored.row.key, 9);
  stored.intact = IsKey(stored.row.key) && KnownType(stored.row.type) &&
                  (brief || s.Int(1) == int64_t{RowChecksum(stored.row)});
  return stored;
}

absl::Status ForEachRow(sqlite3* db, const KeyRange& range, bool brief, Statement* s,
                        const SpoolDatabase::RowFn& fn) {
  VD_RETURN_IF_ERROR(s->Start(db));
  s->Bind(range.first).Bind(range.last).Bind(range.limit);
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool row, s->Step());
    if (!row || !fn(StoredFrom(*s, brief))) break;
  }
  s->Reset();
  return absl::OkStatus();
}

}  // namespace

absl::Status SpoolDatabase::ReadRows(const KeyRange& range, const RowFn& fn) {
  return ForEachRow(db_.get(), range, false, &statements_->read_rows, fn);
}

absl::Status SpoolDatabase::ReadRowsBriefly(const KeyRange& range, const RowFn& fn) {
  return ForEachRow(db_.get(), range, true, &statements_->read_brief, fn);
}

absl::StatusOr<absl::optional<StoredRow>> SpoolDatabase::ReadRow(int64_t key) {
  Statement& s = statements_->read_row;
  VD_RETURN_IF_ERROR(s.Start(db_.get()));
  s.Bind(key);
  VD_ASSIGN_OR_RETURN(const bool row, s.Step());
  absl::optional<StoredRow> stored;
  if (row) stored = StoredFrom(s, false);
  s.Reset();
  return stored;
}

absl::Status SpoolDatabase::ReadOrder(const KeyRange& range, const OrderFn& fn) {
  Statement& s = statements_->read_order;
  VD_RETURN_IF_ERROR(s.Start(db_.get()));
  s.Bind(range.first).Bind(range.last).Bind(range.limit);
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool row, s.Step());
    if (!row) break;
    fn(s.Int(0), static_cast<DataType>(s.Int(1) & 0xff), std::string(s.Text(2)));
  }
  s.Reset();
  return absl::OkStatus();
}

absl::Status SpoolDatabase::ReadDead(const KeyRange& range, const DeadFn& fn) {
  Statement& s = statements_->read_dead;
  VD_RETURN_IF_ERROR(s.Start(db_.get()));
  s.Bind(range.first).Bind(range.last).Bind(range.limit);
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool row, s.Step());
    if (!row) break;
    StoredDeadRow stored;
    stored.dead.row = RowFrom(s, false);
    stored.dead.dead_ms = s.Int(9);
    stored.dead.damaged = s.Int(10) != 0;
    stored.dead.reason = std::string(s.Text(11));
    stored.bytes = RowBytes(stored.dead.row);
    stored.intact = s.Int(1) == int64_t{DeadChecksum(stored.dead)};
    if (!fn(std::move(stored))) break;
  }
  s.Reset();
  return absl::OkStatus();
}

absl::StatusOr<absl::optional<int64_t>> SpoolDatabase::FirstDead(int64_t first, int64_t last) {
  Statement& s = statements_->first_dead;
  VD_RETURN_IF_ERROR(s.Start(db_.get()));
  s.Bind(first).Bind(last);
  VD_ASSIGN_OR_RETURN(const bool row, s.Step());
  absl::optional<int64_t> key;
  if (row && s.Int(0) >= 0) key = s.Int(0);
  s.Reset();
  return key;
}

absl::Status SpoolDatabase::Checkpoint(bool restart) {
  const int mode = restart ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
  int log = 0;
  int done = 0;
  const int code = sqlite3_wal_checkpoint_v2(db_.get(), nullptr, mode, &log, &done);
  if (code == SQLITE_OK && log == done) log_pages_ = 0;
  return SqliteStatus(db_.get(), code, "checkpoint");
}

absl::Status SpoolDatabase::Shrink(int pages) {
  const std::string sql = absl::StrCat("PRAGMA incremental_vacuum(", pages, ")");
  VD_RETURN_IF_ERROR(Begin(Sync::kLater));
  absl::Status status = Execute(db_.get(), sql.c_str());
  if (status.ok()) status = Commit();
  if (!status.ok()) Rollback();
  return status;
}

absl::StatusOr<int64_t> SpoolDatabase::FreePages() {
  return QueryInt(db_.get(), "PRAGMA freelist_count");
}

}  // namespace viaduct::spool_internal
