// The durable queue of files: a SQLite file in WAL mode and one writer thread that puts everything
// that waits into one transaction, as the spool does for messages. See docs/TRANSFERS.md.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/base/clock.h"
#include "core/base/disk_files.h"
#include "core/observe/log.h"
#include "core/transfer/files_in_use.h"
#include "core/transfer/transfer.h"
#include "core/transfer/transfer_database.h"
#include "core/transfer/transfer_names.h"

namespace viaduct {

struct TransferQueueOptions {
  std::string path;  // The folder must exist. Files beside it: -wal, -shm, .lock, .reserve, ...
  uint64_t max_files = 100'000;             // That are not finished.
  uint64_t max_bytes = uint64_t{16} << 30;  // Of files that lie in the node's own folder.
  uint64_t max_finished = 10'000;           // Kept for people to look at; the oldest go first.
  size_t max_waiting = 16'384;              // Changes that are not written yet.
  int64_t reserve_bytes = 256 << 10;        // Given up when the disk is full.
};

struct TransferCounts {
  std::array<uint64_t, kTransferStates> files{};  // By TransferState; kActive stays 0 here.
  std::array<uint64_t, kTransferStates> bytes{};
  std::array<uint64_t, kTransferStates> pinned{};  // Finished ones that must not be forgotten yet.
  uint64_t held_bytes = 0;                         // Of files in the node's own folder.
  bool full = false;                               // By its own bounds.
  bool disk_full = false;
  bool failed = false;  // Damaged again and again; refuses everything.
  uint64_t commits = 0;
  uint64_t damages = 0;  // Since it was opened.

  bool any() const {
    return std::any_of(files.begin(), files.end(), [](uint64_t count) { return count > 0; });
  }
};

// Everything that is set must match.
struct TransferFilter {
  std::vector<std::string> ids;
  std::string device;
  std::vector<TransferState> states;
  std::optional<Priority> priority;
};

struct TransferPage {
  std::vector<Transfer> transfers;
  std::string next_page_token;  // Empty: there is no more. A page may be short or empty before.
};

// Thread-safe. Functions that are given to it are called once each, on its thread, with no lock
// held, and must not block.
class TransferQueue {
 public:
  struct Added {
    Transfer transfer;       // As it is in the queue.
    bool duplicate = false;  // It was there before; nothing has changed.
  };
  using AddDone = std::function<void(absl::StatusOr<Added>)>;
  // Changes a row; an error leaves it as it was and goes to the caller.
  using Edit = std::function<absl::Status(Transfer*)>;
  using ChangeDone = std::function<void(absl::StatusOr<Transfer>)>;
  using Changed = std::function<void(const Transfer&)>;

  // Opens or makes the file; saves what it can of a damaged one. FAILED_PRECONDITION: in use by
  // another process, or made by a newer program. `clock` and `log` must outlive the queue.
  static absl::StatusOr<std::unique_ptr<TransferQueue>> Open(TransferQueueOptions options,
                                                             const Clock* clock, Log* log);
  ~TransferQueue();  // Close().

  // OK when synced to disk. RESOURCE_EXHAUSTED: the queue or the disk is full; UNAVAILABLE: the
  // disk fails, or it is closed; ALREADY_EXISTS: the id is that of another file, or the name that
  // of one that is on its way.
  void Add(Transfer transfer, AddDone done);
  // NOT_FOUND; else as the edit and the disk say. `done` may be null.
  void Change(std::string id, Edit edit, ChangeDone done);
  // Called after the commit with every row that was added or changed, before the function of who
  // asked for it. Set before the first use.
  void SetChanged(Changed changed) { changed_ = std::move(changed); }

  absl::StatusOr<Transfer> Get(std::string_view id) const;
  absl::StatusOr<Transfer> Get(int64_t sequence) const;
  // In order of acceptance. Touches at most kMaxTouched rows.
  static constexpr size_t kMaxTouched = 10'000;
  absl::StatusOr<TransferPage> List(const TransferFilter& filter, size_t page_size,
                                    const std::string& page_token) const;
  // All of one state, the oldest first, as long as `each` returns true; read in pages, so that
  // nobody waits for who looks through many. What changes meanwhile may be seen or not.
  static constexpr size_t kEachPage = 512;
  absl::Status Each(TransferState state, const TransferDatabase::Each& each,
                    int64_t after = 0) const;

  // Files that transfers still need.
  FilesInUse* files() { return &files_; }

  // Whether one of that size and owner would be taken now, by the bounds of the queue.
  absl::Status HasRoom(const Transfer& transfer) const;
  TransferCounts Counts() const;
  std::vector<TransferDamage> Damages() const;  // Since it was opened.

  // Writes what waits and ends the thread. Idempotent.
  void Close();

 private:
  struct Order;

  absl::StatusOr<TransferPage> ListByIds(const TransferFilter& filter, int64_t after,
                                         size_t page_size) const;

  static constexpr size_t kMaxGroup = 1024;  // Orders of one transaction.
  static constexpr size_t kMaxRepairs = 4;   // Within kRepairWindow; then the disk is broken.
  static constexpr absl::Duration kRepairWindow = absl::Hours(1);
  static constexpr absl::Duration kReopenEvery = absl::Seconds(1);

  TransferQueue(TransferQueueOptions options, const Clock* clock, Log* log);
  absl::Status OpenFiles();
  absl::Status Prepare();
  absl::Status Connect();  // And counts what is there; nothing is open after an error.
  absl::Status OpenConnections();
  absl::Status CountAll();
  void NoteDamage(const TransferDamage& damage);

  void Enqueue(std::unique_ptr<Order> order);
  void Loop();
  std::vector<std::unique_ptr<Order>> TakeGroup();
  void WriteGroup(std::vector<std::unique_ptr<Order>>* group);
  absl::Status Attempt(const std::vector<std::unique_ptr<Order>>& group);
  absl::Status Apply(Order* order);
  absl::Status ApplyAdd(Order* order);
  absl::Status ApplyChange(Order* order);
  absl::Status CheckRoom(const TransferCounts& counts, const Transfer& transfer) const;
  // Another transfer that has its remote name, on its way or at all. NOT_FOUND: none.
  absl::StatusOr<Transfer> NamesakeOf(const Transfer& transfer, bool on_its_way);
  absl::Status CheckName(Transfer* transfer, absl::Status* refused);
  absl::Status Prune();
  absl::Status Repair(const absl::Status& why);
  // What a repair that failed has left closed, not more often than kReopenEvery.
  absl::Status Reopen();
  void Answer(std::vector<std::unique_ptr<Order>>* group);
  void Move(const Transfer* before, const Transfer* after);

  const TransferQueueOptions options_;
  const Clock* const clock_;
  Log* const log_;
  Changed changed_;
  disk::LockFile lock_;
  disk::SpaceReserve reserve_;
  std::unique_ptr<TransferDatabase> writer_;  // Of the thread.
  TransferCounts counting_;                   // Of the thread: with what is being written.
  TransferNames names_;                       // Of the thread, the same.
  FilesInUse files_;
  std::vector<int64_t> repairs_;  // Of the thread: when.
  int64_t reopened_ns_ = 0;       // Of the thread: the last time that it was tried.

  mutable absl::Mutex read_mutex_;
  std::unique_ptr<TransferDatabase> reader_ ABSL_GUARDED_BY(read_mutex_);

  mutable absl::Mutex mutex_;
  absl::CondVar work_;
  std::deque<std::unique_ptr<Order>> waiting_ ABSL_GUARDED_BY(mutex_);
  TransferCounts counts_ ABSL_GUARDED_BY(mutex_);
  std::vector<TransferDamage> damages_ ABSL_GUARDED_BY(mutex_);
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace viaduct
