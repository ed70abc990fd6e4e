// What waits to be written: the bounded queue between the senders and the one writer of a store.
// What nobody waits for costs no commit of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/store/store.h"

namespace viaduct {

// The records of one Append and what became of them.
struct WriteItem {
  std::vector<StoreRecord> records;
  std::vector<AppendResult> results;
  Store::AppendFn done;
  size_t bytes = 0;
};

std::vector<AppendResult> AllResults(size_t count, const absl::Status& status);

// Thread-safe. Senders call Append, one writer thread the rest.
class WriteQueue {
 public:
  using Group = std::vector<std::unique_ptr<WriteItem>>;
  struct Options {
    size_t max_records = 65'536;  // Waiting; more are refused.
    size_t max_bytes = 128u << 20;
    size_t max_group_records = 4'096;
    size_t max_group_bytes = 128u << 20;
  };

  explicit WriteQueue(const Options& options) : options_(options) {}

  // As Store::Append: refuses at once what does not fit.
  void Append(std::vector<StoreRecord> records, Store::AppendFn done);

  // What waits, as much as one group takes; of what nobody waits for at most twice as much as of
  // the rest. Empty after `patience` without any, once woken and once stopping.
  Group Take(absl::Duration patience);
  // The group has its outcome: its records no longer count as waiting. Before they are answered.
  void Forget(const Group& group);
  // The writer has something else to do.
  void Wake();
  // Nothing more will come; what waits is still handed out.
  void Stop();
  // Stopped, and nothing waits.
  bool Exhausted() const;
  int64_t queued_records() const;

 private:
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_ || woken_ || !queue_.empty();
  }
  using Queue = std::deque<std::unique_ptr<WriteItem>>;
  // Of the group so far.
  struct Taken {
    Group group;
    size_t records = 0;
    size_t bytes = 0;
  };
  // All that waits is waited for from now on.
  void Hurry() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // So many records at most.
  void TakeFrom(Queue* queue, size_t most, Taken* taken) const;

  const Options options_;
  mutable absl::Mutex mutex_;
  Queue queue_ ABSL_GUARDED_BY(mutex_);
  Queue unhurried_ ABSL_GUARDED_BY(mutex_);
  size_t unhurried_records_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t queued_records_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace viaduct
