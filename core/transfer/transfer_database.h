// The SQLite file of the transfer queue: rows, statements, damage. Internal to core/transfer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/sqlite.h"
#include "core/transfer/transfer.h"

namespace viaduct {

inline constexpr int kTransferSchemaVersion = 1;

// A file that was damaged: what became of it.
struct TransferDamage {
  std::string reason;
  std::string set_aside;  // Path of the damaged file, with its log beside it.
  uint64_t salvaged = 0;  // Rows that are in the new file.
};

// One connection. Errors as of core/base/sqlite.h; DATA_LOSS also for a row whose checksum does not
// fit. Thread-compatible.
class TransferDatabase {
 public:
  enum class Mode : uint8_t { kWrite, kRead };
  static absl::StatusOr<std::unique_ptr<TransferDatabase>> Open(const std::string& path, Mode mode);
  ~TransferDatabase();

  absl::Status Begin();
  absl::Status Commit();
  void Rollback();

  // Gives it the next sequence number.
  absl::Status Insert(Transfer* transfer);
  absl::Status Update(const Transfer& transfer);
  absl::Status Erase(int64_t sequence);
  absl::Status SetNext(int64_t sequence);
  // A row with all columns, in the order of the table.
  static absl::StatusOr<Transfer> RowOf(const sqlite::Statement& row);
  // NOT_FOUND.
  absl::StatusOr<Transfer> Find(std::string_view id);
  absl::StatusOr<Transfer> Find(int64_t sequence);
  // Rows with a sequence above `after`, in order, as long as `each` returns true.
  using Each = std::function<bool(const Transfer&)>;
  absl::Status Scan(int64_t after, const Each& each);
  // The same of one state.
  absl::Status ScanState(TransferState state, int64_t after, const Each& each);

 private:
  struct Statements;
  explicit TransferDatabase(sqlite::SqliteHandle db);

  sqlite::SqliteHandle db_;
  std::unique_ptr<Statements> statements_;  // Before the connection closes.
};

// Makes the file where there is none, ends what a crash interrupted, checks it, and saves what can
// be read of a damaged one into a new one. `damage` is set then. FAILED_PRECONDITION: made by a
// newer program.
absl::Status PrepareTransferFile(const std::string& path, std::optional<TransferDamage>* damage);
// The same for a file that is known to be damaged. No connection to it may be open.
absl::StatusOr<TransferDamage> SalvageTransferFile(const std::string& path,
                                                   const std::string& reason);

// Names of all crash points in core/transfer, in no order; see core/base/crash_point.h.
inline constexpr const char* kTransferCrashPoints[] = {
    "transfer.create.before",  "transfer.create.after",    "transfer.add.before",
    "transfer.add.after",      "transfer.change.before",   "transfer.change.after",
    "transfer.commit.before",  "transfer.commit.after",    "transfer.done.after",
    "transfer.file.synced",    "transfer.file.renamed",    "transfer.remove.before",
    "transfer.remove.after",   "transfer.salvage.before",  "transfer.salvage.written",
    "transfer.salvage.linked", "transfer.salvage.removed", "transfer.salvage.after"};

}  // namespace viaduct
