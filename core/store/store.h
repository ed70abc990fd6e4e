// The server's database as the application sees it. Implementations: sqlite_store.h; every
// implementation passes store_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/store/records.h"
#include "core/store/reports.h"

namespace viaduct {

inline constexpr int kMaxPageRows = 1000;
// A page ends when its payloads have reached this; it always has one row.
inline constexpr size_t kMaxPageBytes = 16u << 20;
inline constexpr size_t kMaxAppendRecords = 20'000;  // In one call of Append.
inline constexpr size_t kMostUnhurried = 256;        // Records that nobody waits for and that wait.

// What health and status show.
struct StoreHealth {
  enum class State : uint8_t { kOk, kDegraded, kFailed };
  State state = State::kOk;
  std::string reason;  // Why it is not kOk, and for kOk what happened before ("set aside ...").
  int64_t schema_version = 0;
  int64_t bytes = 0;             // Of the database on disk.
  int64_t queued_records = 0;    // Accepted by Append and waited for, not yet committed.
  int64_t committed_groups = 0;  // Transactions since start.
  int64_t committed_records = 0;
  int64_t failed_records = 0;
};

// While it lives, an observer is told what other nodes of the same database store, and what this
// node has stored itself without knowing (the answer to its commit was lost).
class StoreWatch {
 public:
  // Waits for a call of the observer to return.
  virtual ~StoreWatch() = default;
};

// All are called on one thread of the watch.
struct StoreObserver {
  std::function<bool()> wanted;  // Asked before anything is read.
  std::function<void(const std::vector<StoredElsewhere>&)> stored;
  // Cameras that came to another node, or are at no other node any longer; may be empty.
  std::function<void(const std::vector<CameraPresence>&)> cameras;
};

// Thread-safe. Writing goes through one writer with group commit: everything that waits is written
// in one transaction, so a record waits for one sync of the disk and no timer.
class Store {
 public:
  using AppendFn = std::function<void(std::vector<AppendResult>)>;

  // Pending appends are completed (written or failed) before the destructor returns. No call may
  // be in progress or come later.
  virtual ~Store() = default;

  // `done` may be null where nobody waits: such records are written beside others that somebody
  // waits for, where that does not delay those much, or once there are kMostUnhurried.
  // Else it gets one result per record, in order, exactly once, after the commit is synced; on the
  // writer thread or, when the store refuses at once, before Append returns. It must not block.
  // Records of one call may land in several transactions when there are very many; each record is
  // whole or absent. A bad record fails alone. Per record:
  //   OK                  it is durable (duplicate: it was before)
  //   NOT_FOUND           an update or delete of something unknown
  //   INVALID_ARGUMENT    it can never be stored
  //   RESOURCE_EXHAUSTED  no space on disk; try again later
  //   UNAVAILABLE         queue full, read-only or failing disk; try again later
  // Without records it comes once all that was appended before has its outcome.
  virtual void Append(std::vector<StoreRecord> records, AppendFn done) = 0;

  // Reading. Each call runs one bounded query on a connection of its own: UNAVAILABLE when all
  // connections stay busy, DEADLINE_EXCEEDED when the query takes too long (narrow the filter),
  // INVALID_ARGUMENT for a cursor that is none.
  virtual absl::StatusOr<StoreStatistics> Statistics() = 0;
  virtual absl::StatusOr<RecordsPage> ListRecords(const RecordsQuery& query) = 0;
  virtual absl::StatusOr<DevicesPage> ListDevices(int limit, std::string_view cursor) = 0;
  // Those with the status "online" that were not seen since then, by their number, behind `after`.
  virtual absl::StatusOr<std::vector<SilentDevice>> ListSilent(absl::Time since, int limit,
                                                               int64_t after) = 0;
  virtual absl::StatusOr<DeviceRow> GetDevice(std::string_view device_id) = 0;
  virtual absl::StatusOr<EventsPage> ListEvents(const EventsQuery& query) = 0;
  virtual absl::StatusOr<EventRow> GetEvent(std::string_view event_id) = 0;
  virtual absl::StatusOr<CommunicationPage> ListCommunication(const CommunicationQuery& query) = 0;
  virtual absl::StatusOr<BlacklistPage> ListBlacklist(int limit, std::string_view cursor) = 0;
  virtual absl::StatusOr<FileTransferRow> GetFileTransfer(std::string_view transfer_id) = 0;
  // By their number, behind `after`.
  virtual absl::StatusOr<std::vector<FileTransferRow>> ListFileTransfers(
      const FileTransfersQuery& query) = 0;
  // The answer is the alternative that belongs to the question's.
  virtual absl::StatusOr<StoreReport> Report(const ReportQuery& query) = 0;
  // True when a detection with this key is committed.
  virtual absl::StatusOr<bool> HasDetection(const MessageKey& key) = 0;

  // Looks at so many rows, in an order that stays; all pages together are the whole table.
  virtual absl::StatusOr<KeptPage> ListKept(const KeptQuery& query) = 0;
  // Other nodes may use the same database; each has the images that it took in.
  virtual bool Shared() const { return false; }
  // Takes what ForgetRecord removed out of the files, as far as that is the store's to do:
  // UNAVAILABLE where somebody reads just now, and it is there for a while.
  virtual absl::Status Scrub() = 0;

  virtual StoreHealth Health() const = 0;

  // The other nodes of the same database hear of it as soon as it can be written. Returns at once.
  virtual void NotePresence(const CameraPresence& /*change*/) {}

  // Null where no other node can share the database. The watch must end before the store. What is
  // told is bounded: who falls far behind is told of the newest.
  virtual std::unique_ptr<StoreWatch> WatchOthers(StoreObserver /*observer*/) { return nullptr; }
};

// Store::Report for one kind of question.
template <typename Answer, typename Question>
absl::StatusOr<Answer> ReportOf(Store* store, Question query) {
  absl::StatusOr<StoreReport> report = store->Report(ReportQuery(std::move(query)));
  if (!report.ok()) return report.status();
  return std::get<Answer>(*std::move(report));
}

}  // namespace viaduct
