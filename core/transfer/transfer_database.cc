#include "core/transfer/transfer_database.h"

#include <zlib.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/crash_point.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

using sqlite::Execute;
using sqlite::Statement;

#define VD_COLUMNS "seq, crc, id, state, priority, device, held, fields"

uint32_t AddText(uint32_t crc, std::string_view text) {
  const auto* octets = static_cast<const unsigned char*>(static_cast<const void*>(text.data()));
  return static_cast<uint32_t>(crc32_z(crc, octets, text.size()));
}

int64_t ChecksumOf(const Transfer& transfer, std::string_view fields) {
  const std::string head = absl::StrCat(transfer.sequence, "|", static_cast<int>(transfer.state),
                                        "|", static_cast<int>(transfer.priority), "|",
                                        transfer.held, "|", transfer.id, "|", transfer.device, "|");
  return AddText(AddText(0, head), fields);
}

// On disk one that is on a road waits for one: after a crash it does.
Transfer Stored(const Transfer& transfer) {
  Transfer stored = transfer;
  if (stored.state == TransferState::kActive) stored.state = TransferState::kQueued;
  return stored;
}

absl::StatusOr<Transfer> OneRow(Statement* statement, std::string_view what) {
  VD_ASSIGN_OR_RETURN(const bool found, statement->Step());
  if (!found) {
    statement->Reset();
    return absl::NotFoundError(absl::StrCat("transfers: there is none, \"", AbslView(what), "\""));
  }
  absl::StatusOr<Transfer> row = TransferDatabase::RowOf(*statement);
  statement->Reset();
  return row;
}

absl::Status EachRow(Statement* statement, const TransferDatabase::Each& each) {
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool found, statement->Step());
    if (!found) break;
    absl::StatusOr<Transfer> row = TransferDatabase::RowOf(*statement);
    const bool more = row.ok() && each(*row);
    if (more) continue;
    statement->Reset();
    return row.status();
  }
  statement->Reset();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Transfer> TransferDatabase::RowOf(const Statement& s) {
  Transfer transfer;
  transfer.sequence = s.Int(0);
  transfer.id = std::string(s.Text(2));
  transfer.state = static_cast<TransferState>(s.Int(3) & 0xff);
  transfer.priority = static_cast<Priority>(s.Int(4) & 0xff);
  transfer.device = std::string(s.Text(5));
  transfer.held = s.Int(6) != 0;
  if (s.Int(1) != ChecksumOf(transfer, s.Text(7))) {
    return absl::DataLossError(
        absl::StrCat("transfers: the checksum of row ", transfer.sequence, " does not fit"));
  }
  VD_RETURN_IF_ERROR(DecodeTransfer(s.Text(7), &transfer));
  return transfer;
}

struct TransferDatabase::Statements {
  Statement begin{"BEGIN IMMEDIATE"};
  Statement commit{"COMMIT"};
  Statement next{"SELECT value FROM counter WHERE id=1"};
  Statement set_next{"UPDATE counter SET value=? WHERE id=1"};
  Statement put{"INSERT OR REPLACE INTO transfer(" VD_COLUMNS ") VALUES(?,?,?,?,?,?,?,?)"};
  Statement erase{"DELETE FROM transfer WHERE seq=?"};
  Statement by_id{"SELECT " VD_COLUMNS " FROM transfer WHERE id=?"};
  Statement by_sequence{"SELECT " VD_COLUMNS " FROM transfer WHERE seq=?"};
  Statement scan{"SELECT " VD_COLUMNS " FROM transfer WHERE seq>? ORDER BY seq"};
  Statement scan_state{"SELECT " VD_COLUMNS " FROM transfer WHERE state=? AND seq>? ORDER BY seq"};
};

#undef VD_COLUMNS

TransferDatabase::TransferDatabase(sqlite::SqliteHandle db)
    : db_(std::move(db)), statements_(std::make_unique<Statements>()) {}

TransferDatabase::~TransferDatabase() = default;  // Members in reverse: statements first.

absl::StatusOr<std::unique_ptr<TransferDatabase>> TransferDatabase::Open(const std::string& path,
                                                                         Mode mode) {
  constexpr int kBusyTimeoutMs = 2'000;
  // The reader too opens for writing: in WAL mode it takes part in the shared index.
  VD_ASSIGN_OR_RETURN(sqlite::SqliteHandle db, sqlite::OpenSqlite(path, SQLITE_OPEN_READWRITE, ""));
  sqlite3_busy_timeout(db.get(), kBusyTimeoutMs);
  VD_RETURN_IF_ERROR(
      Execute(db.get(),
              "PRAGMA mmap_size=0;PRAGMA cache_size=-1024;PRAGMA synchronous=FULL;"
              "PRAGMA secure_delete=OFF;PRAGMA temp_store=MEMORY;PRAGMA cell_size_check=ON;"
              "PRAGMA trusted_schema=OFF;PRAGMA wal_autocheckpoint=1000"));
  if (mode == Mode::kRead) VD_RETURN_IF_ERROR(Execute(db.get(), "PRAGMA query_only=ON"));
  return std::unique_ptr<TransferDatabase>(new TransferDatabase(std::move(db)));
}

absl::Status TransferDatabase::Begin() {
  VD_RETURN_IF_ERROR(statements_->begin.Start(db_.get()));
  return statements_->begin.Run();
}

absl::Status TransferDatabase::Commit() {
  VD_CRASH_POINT("transfer.commit.before");
  VD_RETURN_IF_ERROR(statements_->commit.Start(db_.get()));
  VD_RETURN_IF_ERROR(statements_->commit.Run());
  VD_CRASH_POINT("transfer.commit.after");
  return absl::OkStatus();
}

void TransferDatabase::Rollback() {
  if (sqlite3_get_autocommit(db_.get()) == 0) Execute(db_.get(), "ROLLBACK").IgnoreError();
}

absl::Status TransferDatabase::Insert(Transfer* transfer) {
  Statement& next = statements_->next;
  VD_RETURN_IF_ERROR(next.Start(db_.get()));
  VD_ASSIGN_OR_RETURN(const bool found, next.Step());
  if (!found) return absl::DataLossError("transfers: the counter is gone");
  transfer->sequence = next.Int(0);
  next.Reset();
  VD_RETURN_IF_ERROR(SetNext(transfer->sequence + 1));
  return Update(*transfer);
}

absl::Status TransferDatabase::SetNext(int64_t sequence) {
  VD_RETURN_IF_ERROR(statements_->set_next.Start(db_.get()));
  statements_->set_next.Bind(sequence);
  return statements_->set_next.Run();
}

absl::Status TransferDatabase::Update(const Transfer& transfer) {
  const Transfer stored = Stored(transfer);
  const std::string fields = EncodeTransfer(stored);
  Statement& s = statements_->put;
  VD_RETURN_IF_ERROR(s.Start(db_.get()));
  s.Bind(stored.sequence).Bind(ChecksumOf(stored, fields)).Bind(std::string_view(stored.id));
  s.Bind(static_cast<int64_t>(stored.state)).Bind(static_cast<int64_t>(stored.priority));
  s.Bind(std::string_view(stored.device)).Bind(int64_t{stored.held ? 1 : 0});
  s.Bind(std::string_view(fields));
  return s.Run();
}

absl::Status TransferDatabase::Erase(int64_t sequence) {
  VD_RETURN_IF_ERROR(statements_->erase.Start(db_.get()));
  statements_->erase.Bind(sequence);
  return statements_->erase.Run();
}

absl::StatusOr<Transfer> TransferDatabase::Find(std::string_view id) {
  VD_RETURN_IF_ERROR(statements_->by_id.Start(db_.get()));
  statements_->by_id.Bind(id);
  return OneRow(&statements_->by_id, id);
}

absl::StatusOr<Transfer> TransferDatabase::Find(int64_t sequence) {
  VD_RETURN_IF_ERROR(statements_->by_sequence.Start(db_.get()));
  statements_->by_sequence.Bind(sequence);
  return OneRow(&statements_->by_sequence, absl::StrCat(sequence));
}

absl::Status TransferDatabase::Scan(int64_t after, const Each& each) {
  VD_RETURN_IF_ERROR(statements_->scan.Start(db_.get()));
  statements_->scan.Bind(after);
  return EachRow(&statements_->scan, each);
}

absl::Status TransferDatabase::ScanState(TransferState state, int64_t after, const Each& each) {
  VD_RETURN_IF_ERROR(statements_->scan_state.Start(db_.get()));
  statements_->scan_state.Bind(static_cast<int64_t>(state)).Bind(after);
  return EachRow(&statements_->scan_state, each);
}

}  // namespace viaduct
