// The durable queue between "accepted" and "confirmed by the peer": a SQLite file in WAL mode, one
// writer thread that puts everything waiting into one transaction, and an in-memory order of what
// may be sent next. See docs/SPOOL.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/gateway/outbox.h"
#include "core/message/envelope.h"
#include "core/observe/log.h"
#include "core/security/at_rest.h"

namespace viaduct {

enum class WhenFull : uint8_t {
  kRejectNew,              // RESOURCE_EXHAUSTED to the producer.
  kDropOldestLowPriority,  // Makes room among messages of the same or a lower priority.
};

enum class SpoolDrop : uint8_t {
  kFull,         // To make room.
  kDeadLetters,  // Dead letters over their share.
  kByHand,
};
inline constexpr size_t kSpoolDrops = 3;

enum class SpoolRefusal : uint8_t {
  kFull,       // By the bounds of the spool.
  kDiskFull,   // Or less free than is left to others.
  kDiskFails,  // Also: the file is damaged, and not repaired.
  kTooFast,    // Too much waited to be written.
};
inline constexpr size_t kSpoolRefusals = 4;

struct SpoolOptions {
  std::string path;  // The folder must exist. Files beside it: -wal, -shm, .lock, .reserve, ...
  uint64_t max_bytes = uint64_t{4} << 30;  // Envelopes, ids and 64 bytes a message.
  uint64_t max_messages = 10'000'000;
  // Of the file system, left to others: what would leave less is refused. 0: all is used.
  uint64_t min_free_bytes = 0;
  WhenFull when_full = WhenFull::kRejectNew;
  // By DataType. Counted in time that the node has been running, so that no wall clock can expire
  // anything; infinite: never.
  std::array<absl::Duration, 4> time_to_live{absl::InfiniteDuration(), absl::InfiniteDuration(),
                                             absl::InfiniteDuration(), absl::InfiniteDuration()};
  // Of max_bytes and max_messages, for dead letters: beyond, the oldest of them go.
  double dead_letter_share = 0.1;
  uint32_t max_rejects = 5;  // So many refusals make a dead letter.
  // What waits longer is backlog: it goes behind what is live, and no faster than asked.
  absl::Duration live_age = absl::Seconds(5);
  // By DataType: the messages of one device go one at a time, in the order of acceptance, whatever
  // their priority.
  std::array<bool, 4> ordered{};

  // Accepted but not yet written; beyond: RESOURCE_EXHAUSTED at once.
  size_t max_queued_messages = 65'536;
  size_t max_queued_bytes = size_t{64} << 20;
  size_t max_claimed = 16'384;        // Claimed or delayed at once; Claim gives no more.
  size_t max_ready_messages = 8'192;  // Kept in memory from commit to claim, and as many that
  size_t max_ready_bytes = 8u << 20;  // are held for their order; others are read from the file.
  // Confirmations alone wait this long for company; they cost no sync of their own under load.
  absl::Duration confirm_delay = absl::Milliseconds(10);
  int checkpoint_pages = 4'096;     // Pages of log (4 KiB each) that are worth a checkpoint.
  int64_t reserve_bytes = 1 << 20;  // Held for removing messages when the disk is full.
  std::string vfs;                  // SQLite VFS by name; empty: the system's.
  // Reads what is encrypted in the file; null: nothing is. `encrypt`: new messages are. Outlives
  // the spool.
  security::RecordCipher* cipher = nullptr;
  bool encrypt = false;
};

// What happened to a damaged file. The old file is kept.
struct DamageReport {
  std::string reason;
  std::string set_aside;  // Path of the damaged file; "" when only single rows were affected.
  int64_t salvaged = 0;   // Messages that are in the new file.
  int64_t lost = 0;       // Messages known to have been there and not found.
  bool lost_known = false;
};

struct SpoolInfo {
  std::string path;
  uint64_t messages = 0;  // Waiting or in flight.
  uint64_t bytes = 0;
  std::array<uint64_t, 3> messages_by_priority{};
  uint64_t max_messages = 0;
  uint64_t max_bytes = 0;
  uint64_t in_flight = 0;
  uint64_t delayed = 0;   // Waiting for their next attempt.
  uint64_t rejected = 0;  // Dead letters.
  uint64_t rejected_bytes = 0;
  absl::Duration oldest_age = absl::ZeroDuration();
  WhenFull when_full = WhenFull::kRejectNew;
  bool full = false;  // By its own bounds: has refused what would not fit now either.
  bool disk_full = false;
  bool low_space = false;  // Less than min_free_bytes are free: takes nothing new.
  bool failed = false;     // Damaged again and again; refuses everything.
  // Why the last repair of a damaged file failed; it is tried again, and until then everything is
  // refused. "": nothing is to be repaired.
  std::string repair_error;
  // Since the spool was made.
  uint64_t accepted_total = 0;
  uint64_t confirmed_total = 0;
  uint64_t expired_total = 0;
  uint64_t dropped_total = 0;
  uint64_t rejected_total = 0;
  uint64_t damages_total = 0;
  uint64_t lost_total = 0;
  // Since it was opened.
  uint64_t commits = 0;
  uint64_t refused = 0;  // Appends that failed.
  std::array<uint64_t, kSpoolRefusals> refused_by{};
  std::array<uint64_t, kSpoolDrops> dropped_by{};
  uint64_t unknown_settled = 0;  // Settled twice, or never claimed.
};

enum class SpoolEntryState : uint8_t { kWaiting, kInFlight, kRejected };

struct SpoolEntry {
  int64_t key = 0;
  std::string message_id;
  std::string edge_device_id;
  DataType data_type = DataType::kDetection;
  Priority priority = Priority::kNormal;
  SpoolEntryState state = SpoolEntryState::kWaiting;
  absl::Time timestamp;
  absl::Time accepted_at;
  uint32_t attempts = 0;
  uint64_t bytes = 0;
  std::string last_error;
  std::string envelope_json;  // Only when asked for.
};

// Everything that is set must match.
struct SpoolFilter {
  std::vector<int64_t> keys;  // Of the entries; several devices may use the same message id.
  std::vector<std::string> message_ids;
  std::string edge_device_id;
  absl::StatusOr<DataType> data_type = absl::NotFoundError("any");
  absl::StatusOr<Priority> priority = absl::NotFoundError("any");
  absl::StatusOr<SpoolEntryState> state = absl::NotFoundError("any");
};

struct SpoolPage {
  std::vector<SpoolEntry> entries;
  std::string next_page_token;  // Empty: there is no more. A page may be short or empty before.
  size_t envelope_bytes = 0;    // In the entries.
};

// Thread-safe.
class Spool final : public Outbox {
 public:
  // One status per message, in order; called once, on the spool's thread, after the commit.
  using AppendDone = std::function<void(std::vector<absl::Status>)>;

  // Opens or makes the file; salvages a damaged one. FAILED_PRECONDITION: in use by another
  // process, made by a newer program, or encrypted by a key that is not given. `clock` and `log`
  // must outlive the spool.
  static absl::StatusOr<std::unique_ptr<Spool>> Open(SpoolOptions options, Clock* clock, Log* log);
  // Close().
  ~Spool() override;

  // Takes valid envelopes. Never blocks on the disk. On an error nothing was taken and `done` is
  // not called: RESOURCE_EXHAUSTED when too much waits to be written, FAILED_PRECONDITION when
  // closed. Statuses given to `done`: OK when synced to disk; RESOURCE_EXHAUSTED when the spool or
  // the disk is full, or has less free than min_free_bytes; UNAVAILABLE when the disk fails, or
  // nothing can be encrypted. Not de-duplicated: the receiver does that.
  absl::Status Append(std::vector<Envelope> envelopes, AppendDone done);

  size_t Claim(const ClaimLimits& limits, std::vector<OutboxMessage>* out) override;
  void Settle(absl::Span<const Settlement> settlements) override;
  int64_t NextDueNanos() const override;
  void SetReadyHandler(std::function<void()> on_ready) override;

  SpoolInfo Info() const;
  std::vector<DamageReport> Damages() const;  // Since it was opened.

  // Looks, in key order: waiting and in flight first, then rejected. Touches at most 10,000 rows
  // and ends a page with the envelope that brings it over kMaxPageBytes.
  static constexpr size_t kMaxPageBytes = 8u << 20;
  absl::StatusOr<SpoolPage> List(const SpoolFilter& filter, size_t page_size,
                                 const std::string& page_token, bool with_envelope) const;
  // Puts matching dead letters (not damaged ones) back as new messages. Blocks until committed: not
  // from a callback of the spool.
  absl::StatusOr<uint64_t> RetryDeadLetters(const SpoolFilter& filter);
  // Throws matching messages away, but none in flight. Blocks likewise.
  absl::StatusOr<uint64_t> Drop(const SpoolFilter& filter, const std::string& reason);

  // Looks for expired messages and a pending checkpoint now. Needed only with a fake clock.
  void RunMaintenance();

  // Writes what was taken, calls what is to be called, ends the thread, empties the log.
  // Idempotent.
  void Close();

 private:
  class Impl;
  explicit Spool(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Names of all crash points in core/spool, in no order; see core/base/crash_point.h.
inline constexpr const char* kSpoolCrashPoints[] = {"spool.create.before",
                                                    "spool.create.after",
                                                    "spool.create.renamed",
                                                    "spool.append.before",
                                                    "spool.append.after",
                                                    "spool.remove.before",
                                                    "spool.remove.after",
                                                    "spool.commit.before",
                                                    "spool.commit.after",
                                                    "spool.done.after",
                                                    "spool.checkpoint.before",
                                                    "spool.checkpoint.after",
                                                    "spool.dead.before",
                                                    "spool.dead.after",
                                                    "spool.salvage.before",
                                                    "spool.salvage.written",
                                                    "spool.salvage.marked",
                                                    "spool.salvage.log_moved",
                                                    "spool.salvage.database_moved",
                                                    "spool.salvage.after",
                                                    "spool.close.before",
                                                    "spool.close.after"};

}  // namespace viaduct
