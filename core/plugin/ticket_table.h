// What one party owes the other: each entry ends exactly once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"

namespace viaduct {

// Entries by number, at most `max` at once. Take gives an entry to exactly one caller, so whoever
// gets it is the one who ends it. Thread-safe.
template <typename T>
class TicketTable {
 public:
  explicit TicketTable(size_t max) : max_(max) {}

  // False: full, closed, or the ticket is in use.
  bool Add(uint64_t ticket, T value) {
    absl::MutexLock lock(&mutex_);
    if (closed_ || entries_.size() >= max_) return false;
    return entries_.try_emplace(ticket, std::move(value)).second;
  }

  // False: not there, so somebody else has ended it or nobody began it.
  bool Take(uint64_t ticket, T* out) {
    absl::MutexLock lock(&mutex_);
    const auto found = entries_.find(ticket);
    if (found == entries_.end()) return false;
    *out = std::move(found->second);
    entries_.erase(found);
    return true;
  }

  // Calls `look(entry)` under the lock; false when it is not there.
  template <typename F>
  bool With(uint64_t ticket, F look) {
    absl::MutexLock lock(&mutex_);
    const auto found = entries_.find(ticket);
    if (found == entries_.end()) return false;
    look(found->second);
    return true;
  }

  // Takes all and lets nothing in any more.
  std::vector<T> Close() {
    std::vector<T> rest;
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    rest.reserve(entries_.size());
    for (auto& [ticket, value] : entries_) rest.push_back(std::move(value));
    entries_.clear();
    return rest;
  }

  size_t size() const {
    absl::MutexLock lock(&mutex_);
    return entries_.size();
  }

 private:
  const size_t max_;
  mutable absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<uint64_t, T> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct
