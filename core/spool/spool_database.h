// One connection to the spool file with the statements that the spool uses; the spool has one to
// write and one to read. Internal to core/spool.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "core/base/wal_checkpointer.h"
#include "core/spool/spool_files.h"
#include "core/spool/spool_format.h"

namespace viaduct::spool_internal {

struct AttemptRecord {
  uint32_t attempts = 0;
  uint32_t rejects = 0;
  std::string error;  // Of the latest one.
};

// A row as it was read; `intact` is false when its checksum does not match.
struct StoredRow {
  SpoolRow row;  // Without envelope_json in a brief read.
  uint64_t bytes = 0;
  AttemptRecord attempt;
  bool intact = false;
};

struct StoredDeadRow {
  DeadRow dead;
  uint64_t bytes = 0;
  bool intact = false;
};

struct KeyRange {
  int64_t first = 0;
  int64_t last = 0;  // Included.
  int64_t limit = 0;
};

// Thread-compatible. DATA_LOSS from any method: the file is damaged.
class SpoolDatabase {
 public:
  enum class Mode { kWrite, kRead };
  static absl::StatusOr<std::unique_ptr<SpoolDatabase>> Open(const std::string& path,
                                                             const std::string& vfs, Mode mode);
  ~SpoolDatabase();
  SpoolDatabase(const SpoolDatabase&) = delete;
  SpoolDatabase& operator=(const SpoolDatabase&) = delete;

  // kLater: on the disk with the next commit that is synced, or when the log is moved.
  enum class Sync { kAtCommit, kLater };
  absl::Status Begin(Sync sync = Sync::kAtCommit);
  absl::Status BeginRead();  // What follows sees one state of the file, until Commit or Rollback.
  absl::Status Commit();
  void Rollback();  // Also when there is nothing to roll back.

  absl::StatusOr<SpoolState> ReadState();  // DATA_LOSS when the row is missing or damaged.
  absl::Status WriteState(const SpoolState& state);

  absl::Status Insert(const SpoolRow& row);
  absl::StatusOr<bool> InsertIfAbsent(const SpoolRow& row);
  absl::StatusOr<bool> Delete(int64_t key);  // False: there was no such row.
  absl::Status PutAttempt(int64_t key, const AttemptRecord& attempt);
  absl::Status DeleteAttempt(int64_t key);
  absl::Status InsertDead(const DeadRow& dead, bool ignore_existing = false);
  absl::StatusOr<bool> DeleteDead(int64_t key);

  // In key order; `fn` returns false to stop. A brief read leaves the envelope out and cannot check
  // the row.
  using RowFn = std::function<bool(StoredRow)>;
  absl::Status ReadRows(const KeyRange& range, const RowFn& fn);
  absl::Status ReadRowsBriefly(const KeyRange& range, const RowFn& fn);
  absl::StatusOr<absl::optional<StoredRow>> ReadRow(int64_t key);
  // What decides about the order of rows, whatever their size; cannot check them.
  using OrderFn = std::function<void(int64_t key, DataType type, const std::string& device)>;
  absl::Status ReadOrder(const KeyRange& range, const OrderFn& fn);
  using DeadFn = std::function<bool(StoredDeadRow)>;
  absl::Status ReadDead(const KeyRange& range, const DeadFn& fn);
  absl::StatusOr<absl::optional<int64_t>> FirstDead(int64_t first, int64_t last);

  // Moves the log into the database; `restart` also waits for readers and starts the log anew.
  absl::Status Checkpoint(bool restart);
  int log_pages() const { return log_pages_; }
  // Of the writer. As WalCheckpointer::ShouldFinish: whether it is time for Checkpoint.
  bool ShouldCheckpoint(int limit) { return checkpointer_->ShouldFinish(log_pages_, limit); }
  // Gives free pages back to the file system, at most `pages`; as Sync::kLater.
  absl::Status Shrink(int pages);
  absl::StatusOr<int64_t> FreePages();

  sqlite3* handle() { return db_.get(); }

 private:
  explicit SpoolDatabase(SqliteHandle db);
  absl::Status BindRow(const SpoolRow& row, uint32_t crc, Statement* statement);
  static int OnLogWritten(void* self, sqlite3* db, const char* name, int pages);

  SqliteHandle db_;
  Sync sync_ = Sync::kAtCommit;
  int log_pages_ = 0;
  struct Statements;
  std::unique_ptr<Statements> statements_;
  std::unique_ptr<WalCheckpointer> checkpointer_;  // Of the one that writes.
};

}  // namespace viaduct::spool_internal
