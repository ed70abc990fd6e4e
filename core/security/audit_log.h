// Who did what from where, and how it ended: append-only, chained, synced, bounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/base/clock.h"
#include "core/security/audit_chain.h"
#include "core/security/audit_file.h"

namespace viaduct::security {

// Thread-safe. One thread of its own writes: whatever waits goes in one write with one sync.
//
// Login failures come in floods; whoever records them asks RateLimiter::AdmitAttempt first, or they
// push older records out of what is kept.
class AuditLog {
 public:
  static constexpr size_t kMaxQueued = 8'192;

  // Files of mode 0600 in `folder`, which must be there. Goes on after the last record: a line that
  // the end of power cut is taken out and that is recorded; a last line that was changed is left
  // where it is, in a file set aside, and the next one begins a new chain and says so.
  static absl::StatusOr<std::unique_ptr<AuditLog>> Open(const std::string& folder,
                                                        const AuditFileOptions& options,
                                                        const Clock* clock);
  ~AuditLog();  // Writes what waits.

  // Never waits. False: kMaxQueued records wait for the disk and this one is dropped; how many were
  // is the next record.
  bool Append(AuditRecord record);
  // Returns when it is on disk. RESOURCE_EXHAUSTED: dropped, or no space; what the record is about
  // should then not be done.
  absl::Status AppendDurably(AuditRecord record);
  // The same without waiting: `done` is called once, on the thread that writes, which it must not
  // hold up; or at once where the record is dropped.
  using DoneFn = std::function<void(const absl::Status&)>;
  void AppendThen(AuditRecord record, DoneFn done);

  AuditHead head() const;  // Of what is on disk.
  const std::string& folder() const { return folder_; }
  uint64_t dropped() const;

 private:
  struct Item {
    AuditRecord record;
    DoneFn done;  // May be empty.
  };
  AuditLog(std::string folder, std::unique_ptr<AuditFile> file, const Clock* clock);
  bool Queue(Item item);
  void Settle(const std::vector<Item>& batch, const absl::Status& status, uint64_t untold);
  void Run();
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopping_ || !queue_.empty(); }
  absl::Status WriteBatch(const std::vector<Item>& batch, uint64_t dropped);

  const std::string folder_;
  const Clock* const clock_;
  const std::unique_ptr<AuditFile> file_;  // Of the thread alone.
  mutable absl::Mutex mutex_;
  std::vector<Item> queue_ ABSL_GUARDED_BY(mutex_);
  uint64_t dropped_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t untold_ ABSL_GUARDED_BY(mutex_) = 0;  // Of the dropped ones, not yet recorded.
  AuditHead head_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // Last: uses all of the above.
};

}  // namespace viaduct::security
