// Making, checking and saving the file of the transfer queue. A new file is complete and synced
// under another name before anything of the old one goes:
//   <path>.new        being written; thrown away at the next start
//   <path>.salvaged   complete; takes the place of <path> now, or at the next start
//   <path>.mended     another name of <path>, its log beside it as far as that can be read
//   <path>.damaged-N  the old file, its log beside it
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/crash_point.h"
#include "core/base/descriptor.h"
#include "core/base/disk_files.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/transfer/transfer_database.h"
#include "core/transfer/transfer_log.h"

namespace viaduct {
namespace {

using sqlite::Execute;
using sqlite::QueryInt;
using sqlite::SqliteHandle;
using sqlite::Statement;

constexpr int64_t kApplicationIdBase = 0x76644600;  // "vdF", then the version once more.
constexpr int64_t kMaxVersion = 0xff;
constexpr int kMaxSetAside = 8;  // Damaged files that are kept; the oldest goes first.

// "Database Header Format" of SQLite: the fields without which it reads or writes nothing, as they
// are in every file of ours.
struct HeaderField {
  size_t at;
  std::string_view octets;
};
template <size_t kSize>
constexpr std::string_view Octets(const char (&literal)[kSize]) {
  return {literal, kSize - 1};  // Zeros belong to them, the one behind does not.
}
constexpr HeaderField kHeader[] = {{0, Octets("SQLite format 3\0\x10\0")},
                                   {18, Octets("\2\2\0\x40\x20\x20")},
                                   {44, Octets("\0\0\0\4")},
                                   {52, Octets("\0\0\0\0\0\0\0\1")}};
constexpr size_t kHeaderBytes = 100;
constexpr int64_t kPageBytes = 4096;
constexpr size_t kChangeCounterAt = 24;
constexpr size_t kPagesAt = 28;
constexpr size_t kFreeListAt = 32;
constexpr size_t kFreeListBytes = 8;
constexpr size_t kValidForAt = 92;

constexpr char kCreate[] = R"sql(
CREATE TABLE transfer(
  seq INTEGER PRIMARY KEY, crc INTEGER, id TEXT NOT NULL, state INTEGER, priority INTEGER,
  device TEXT, held INTEGER, fields TEXT);
CREATE UNIQUE INDEX transfer_id ON transfer(id);
CREATE INDEX transfer_state ON transfer(state, seq);
CREATE TABLE counter(id INTEGER PRIMARY KEY, value INTEGER);
INSERT INTO counter(id, value) VALUES(1, 1);
)sql";

absl::Status RemoveWithLog(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
    VD_RETURN_IF_ERROR(disk::RemoveFile(path + suffix));
  }
  return absl::OkStatus();
}

// A new file, complete and synced, without a log beside it.
absl::StatusOr<SqliteHandle> CreateAt(const std::string& path) {
  VD_RETURN_IF_ERROR(RemoveWithLog(path));
  VD_ASSIGN_OR_RETURN(SqliteHandle db,
                      sqlite::OpenSqlite(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, ""));
  VD_RETURN_IF_ERROR(Execute(db.get(),
                             "PRAGMA page_size=4096;PRAGMA journal_mode=WAL;"
                             "PRAGMA synchronous=FULL"));
  VD_RETURN_IF_ERROR(Execute(db.get(), "BEGIN IMMEDIATE"));
  VD_RETURN_IF_ERROR(Execute(db.get(), kCreate));
  const std::string marks =
      absl::StrCat("PRAGMA application_id=", kApplicationIdBase | kTransferSchemaVersion,
                   ";PRAGMA user_version=", kTransferSchemaVersion);
  VD_RETURN_IF_ERROR(Execute(db.get(), marks.c_str()));
  VD_RETURN_IF_ERROR(Execute(db.get(), "COMMIT"));
  return db;
}

absl::Status CloseWhole(SqliteHandle db, const std::string& path) {
  VD_RETURN_IF_ERROR(Execute(db.get(), "PRAGMA wal_checkpoint(TRUNCATE)"));
  db.reset();
  for (const char* suffix : {"-wal", "-shm"}) VD_RETURN_IF_ERROR(disk::RemoveFile(path + suffix));
  return disk::SyncFile(path);
}

absl::Status CreateFile(const std::string& path) {
  VD_CRASH_POINT("transfer.create.before");
  const std::string fresh = path + ".new";
  VD_ASSIGN_OR_RETURN(SqliteHandle db, CreateAt(fresh));
  VD_RETURN_IF_ERROR(CloseWhole(std::move(db), fresh));
  for (const char* suffix : {"-wal", "-shm"}) VD_RETURN_IF_ERROR(disk::RemoveFile(path + suffix));
  VD_RETURN_IF_ERROR(disk::RenameFile(fresh, path));
  VD_CRASH_POINT("transfer.create.after");
  return disk::SyncDirectoryOf(path);
}

// The log of the old file must be gone before the new one has its name.
absl::Status TakeItsPlace(const std::string& path) {
  for (const char* suffix : {"-wal", "-shm"}) VD_RETURN_IF_ERROR(disk::RemoveFile(path + suffix));
  VD_RETURN_IF_ERROR(disk::SyncDirectoryOf(path));
  VD_CRASH_POINT("transfer.salvage.removed");
  VD_RETURN_IF_ERROR(disk::RenameFile(path + ".salvaged", path));
  VD_RETURN_IF_ERROR(disk::SyncDirectoryOf(path));
  VD_CRASH_POINT("transfer.salvage.after");
  return absl::OkStatus();
}

std::string NameAside(const std::string& path) {
  const auto name = [&](int number) { return absl::StrCat(path, ".damaged-", number); };
  for (int number = 1; number <= kMaxSetAside; ++number) {
    if (!disk::FileExists(name(number))) return name(number);
  }
  for (int number = 1; number < kMaxSetAside; ++number) {
    for (const char* suffix : {"", "-wal"}) {
      disk::RenameFile(name(number + 1) + suffix, name(number) + suffix).IgnoreError();
    }
  }
  RemoveWithLog(name(kMaxSetAside)).IgnoreError();
  return name(kMaxSetAside);
}

absl::Status LinkAside(const std::string& path, const std::string& aside) {
  for (const char* suffix : {"", "-wal"}) {
    const std::string from = path + suffix;
    if (link(from.c_str(), (aside + suffix).c_str()) == 0 || errno == ENOENT) continue;
    return absl::UnavailableError(
        absl::StrCat(from, ": cannot be set aside, ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

// Copies rows as they are, as long as they can be read; TransferDatabase checks them.
class RowRescue {
 public:
  explicit RowRescue(TransferDatabase* to) : to_(to) {}

  // From both ends: what is between two damaged places is lost.
  void Run(sqlite3* from) {
    Statement forward(
        "SELECT seq, crc, id, state, priority, device, held, fields FROM transfer "
        "NOT INDEXED ORDER BY seq");
    Statement backward(
        "SELECT seq, crc, id, state, priority, device, held, fields FROM transfer "
        "NOT INDEXED ORDER BY seq DESC");
    if (!Copy(&forward, from)) Copy(&backward, from);
  }
  uint64_t rows() const { return rows_; }
  int64_t last() const { return last_; }

 private:
  // False: it ended early.
  bool Copy(Statement* statement, sqlite3* from) {
    if (!statement->Start(from).ok()) return false;
    while (true) {
      const absl::StatusOr<bool> row = statement->Step();
      if (!row.ok()) return false;
      if (!*row) return true;
      absl::StatusOr<Transfer> transfer = TransferDatabase::RowOf(*statement);
      if (!transfer.ok() || to_->Find(transfer->id).ok()) continue;
      if (!to_->Update(*transfer).ok()) return false;
      ++rows_;
      last_ = std::max(last_, transfer->sequence);
    }
  }

  TransferDatabase* const to_;
  uint64_t rows_ = 0;
  int64_t last_ = 0;
};

absl::StatusOr<bool> IsSoundHeader(const std::string& path) {
  VD_ASSIGN_OR_RETURN(const std::string header, disk::ReadStart(path, kHeaderBytes));
  return std::all_of(std::begin(kHeader), std::end(kHeader), [&](const HeaderField& field) {
    return std::string_view(header).substr(field.at, field.octets.size()) == field.octets;
  });
}

// The first page says what the file is and what is in it, the same in every file of ours: with it
// gone the rest is as good as before. The number of pages is that of the file, and no page is taken
// for a free one.
void MendFirstPage(const std::string& path, const std::string& fresh) {
  const int64_t size = disk::FileSize(path);
  absl::StatusOr<std::string> page = disk::ReadStart(fresh, kPageBytes);
  if (size < kPageBytes || !page.ok()) return;
  const int64_t pages = size / kPageBytes;
  for (size_t i = 0; i < 4; ++i) (*page)[kPagesAt + i] = static_cast<char>(pages >> (24 - 8 * i));
  page->replace(kFreeListAt, kFreeListBytes, kFreeListBytes, '\0');
  page->replace(kValidForAt, 4, *page, kChangeCounterAt, 4);
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  // Where it cannot be written nothing is read of it.
  if (::pwrite(file.get(), page->data(), page->size(), 0) < 0) return;
}

// Rows that are behind damage of the log. The file itself is not written to: <path>.mended is
// another name of it, and nothing of its log goes into it.
void RescueFromLog(const std::string& path, RowRescue* rescue) {
  const std::string mended = path + ".mended";
  const auto pages = static_cast<uint64_t>(std::max<int64_t>(disk::FileSize(path), 0) / kPageBytes);
  if (!IsLogWounded(path + "-wal") || !RemoveWithLog(mended).ok()) return;
  const bool made = MendLog(path + "-wal", pages, mended + "-wal").ok() &&
                    ::link(path.c_str(), mended.c_str()) == 0;
  const absl::StatusOr<SqliteHandle> from =
      made ? sqlite::OpenSqlite(mended, SQLITE_OPEN_READWRITE, "")
           : absl::StatusOr<SqliteHandle>(absl::NotFoundError("no log"));
  if (from.ok()) {
    sqlite3_db_config(from->get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    rescue->Run(from->get());
  }
}

absl::StatusOr<uint64_t> Rescue(const std::string& path, const std::string& fresh) {
  MendFirstPage(path, fresh);
  VD_ASSIGN_OR_RETURN(auto to, TransferDatabase::Open(fresh, TransferDatabase::Mode::kWrite));
  VD_RETURN_IF_ERROR(to->Begin());
  RowRescue rescue(to.get());
  RescueFromLog(path, &rescue);  // What is newer comes first.
  VD_RETURN_IF_ERROR(RemoveWithLog(path + ".mended"));
  const absl::StatusOr<SqliteHandle> from = sqlite::OpenSqlite(path, SQLITE_OPEN_READWRITE, "");
  if (from.ok()) rescue.Run(from->get());
  VD_RETURN_IF_ERROR(to->SetNext(rescue.last() + 1));
  VD_RETURN_IF_ERROR(to->Commit());
  return rescue.rows();
}

// OK, DATA_LOSS, or FAILED_PRECONDITION for one of a newer program.
absl::Status CheckFile(const std::string& path) {
  VD_ASSIGN_OR_RETURN(const bool sound, IsSoundHeader(path));
  if (!sound) return absl::DataLossError("transfers: the header of the file is damaged");
  VD_ASSIGN_OR_RETURN(SqliteHandle db, sqlite::OpenSqlite(path, SQLITE_OPEN_READWRITE, ""));
  VD_RETURN_IF_ERROR(Execute(db.get(), "PRAGMA cell_size_check=ON"));
  VD_ASSIGN_OR_RETURN(const int64_t application, QueryInt(db.get(), "PRAGMA application_id"));
  VD_ASSIGN_OR_RETURN(const int64_t version, QueryInt(db.get(), "PRAGMA user_version"));
  const bool ours =
      version > 0 && version <= kMaxVersion && application == (kApplicationIdBase | version);
  if (!ours) return absl::DataLossError("transfers: the file does not say what it is");
  if (version > kTransferSchemaVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("transfers: made by a newer program, version ", version,
                     ", this program knows up to ", kTransferSchemaVersion));
  }
  Statement check("PRAGMA integrity_check(1)");
  VD_RETURN_IF_ERROR(check.Start(db.get()));
  VD_ASSIGN_OR_RETURN(const bool row, check.Step());
  if (!row || check.Text(0) != "ok") {
    return absl::DataLossError(
        absl::StrCat("transfers: ", row ? AbslView(check.Text(0)) : "no check"));
  }
  check.Finalize();
  VD_RETURN_IF_ERROR(QueryInt(db.get(), "SELECT value FROM counter WHERE id=1").status());
  db.reset();
  VD_ASSIGN_OR_RETURN(auto rows, TransferDatabase::Open(path, TransferDatabase::Mode::kWrite));
  return rows->Scan(0, [](const Transfer&) { return true; });
}

// What SQLite cannot make sense of is damage, too.
bool IsDamage(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsInternal(status) || absl::IsNotFound(status);
}

}  // namespace

absl::StatusOr<TransferDamage> SalvageTransferFile(const std::string& path,
                                                   const std::string& reason) {
  VD_CRASH_POINT("transfer.salvage.before");
  TransferDamage damage;
  damage.reason = reason;
  const std::string fresh = path + ".new";
  { VD_ASSIGN_OR_RETURN(const SqliteHandle made, CreateAt(fresh)); }
  VD_ASSIGN_OR_RETURN(damage.salvaged, Rescue(path, fresh));
  VD_ASSIGN_OR_RETURN(SqliteHandle whole, sqlite::OpenSqlite(fresh, SQLITE_OPEN_READWRITE, ""));
  VD_RETURN_IF_ERROR(CloseWhole(std::move(whole), fresh));
  VD_CRASH_POINT("transfer.salvage.written");
  damage.set_aside = NameAside(path);
  VD_RETURN_IF_ERROR(LinkAside(path, damage.set_aside));
  VD_CRASH_POINT("transfer.salvage.linked");
  VD_RETURN_IF_ERROR(disk::RenameFile(fresh, path + ".salvaged"));
  VD_RETURN_IF_ERROR(disk::SyncDirectoryOf(path));
  VD_RETURN_IF_ERROR(TakeItsPlace(path));
  return damage;
}

absl::Status PrepareTransferFile(const std::string& path, std::optional<TransferDamage>* damage) {
  if (disk::FileExists(path + ".salvaged")) VD_RETURN_IF_ERROR(TakeItsPlace(path));
  for (const char* step : {".new", ".mended"}) VD_RETURN_IF_ERROR(RemoveWithLog(path + step));
  if (!disk::FileExists(path)) {
    if (disk::FileExists(path + "-wal")) {
      // Its database is gone; what it holds cannot be read without.
      const std::string aside = NameAside(path);
      VD_RETURN_IF_ERROR(LinkAside(path, aside));
      damage->emplace(TransferDamage{"the database was gone, its log was there", aside, 0});
    }
    return CreateFile(path);
  }
  const absl::Status checked = IsLogWounded(path + "-wal")
                                   ? absl::DataLossError("transfers: its log is damaged")
                                   : CheckFile(path);
  if (!IsDamage(checked)) return checked;
  VD_ASSIGN_OR_RETURN(*damage, SalvageTransferFile(path, std::string(checked.message())));
  return absl::OkStatus();
}

}  // namespace viaduct
