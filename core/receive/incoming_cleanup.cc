#include "core/receive/incoming_cleanup.h"

#include <algorithm>
#include <utility>

#include "absl/container/btree_map.h"

namespace viaduct {
namespace {

constexpr size_t kBatch = 10'000;  // Files that are looked for at once.
constexpr int kMaxRounds = 1'000;

bool IsOlder(const IncomingEntry& a, const IncomingEntry& b) {
  if (a.changed_ns != b.changed_ns) return a.changed_ns < b.changed_ns;
  return a.name < b.name;
}

class Cleanup {
 public:
  Cleanup(const IncomingFolder& folder, const IncomingCleanupOptions& options,
          const IncomingCleanupDeps& deps)
      : folder_(folder), options_(options), deps_(deps) {}

  IncomingCleanupResult Run(absl::Time now) {
    const bool expires = options_.keep != absl::InfiniteDuration();
    const int64_t since = expires ? absl::ToUnixNanos(now - options_.keep) : 0;
    absl::btree_map<std::string, uint64_t> used;  // By device.
    IncomingVisitor visitor;
    visitor.file = [&](const IncomingEntry& entry) {
      if (expires && entry.changed_ns < since && Remove(entry)) return;
      used[entry.name.substr(0, entry.name.find('/'))] += entry.size;
    };
    // What was begun has an age of its own, but takes room.
    visitor.odd = [&](const IncomingEntry& entry) {
      used[entry.name.substr(0, entry.name.find('/'))] += entry.size;
    };
    folder_.Scan("", visitor);
    for (auto& [device, bytes] : used) {
      if (bytes > options_.max_bytes_per_device) KeepToQuota(device, bytes);
    }
    KeepFree();
    return std::move(result_);
  }

 private:
  bool Remove(const IncomingEntry& entry) {
    if (deps_.in_use && deps_.in_use(entry)) return false;
    if (!folder_.Remove(entry).ok()) {
      ++result_.failed;
      return false;
    }
    ++result_.removed_files;
    result_.removed_bytes += entry.size;
    return true;
  }

  void KeepToQuota(const std::string& device, uint64_t bytes) {
    if (result_.over_quota.size() < IncomingCleanupResult::kMaxNamed) {
      result_.over_quota.push_back(device);
    }
    RemoveOldest(
        device, [&] { return bytes <= options_.max_bytes_per_device; },
        [&](const IncomingEntry& entry) { bytes -= std::min(bytes, entry.size); });
  }

  void KeepFree() {
    const auto enough = [this] {
      const int64_t free = deps_.free_bytes ? deps_.free_bytes() : -1;
      return free < 0 || static_cast<uint64_t>(free) >= options_.min_free_bytes;
    };
    if (enough()) return;
    RemoveOldest("", enough, [](const IncomingEntry&) {});
    result_.short_of_space = !enough();
  }

  template <typename EnoughFn, typename RemovedFn>
  void RemoveOldest(const std::string& from, const EnoughFn& enough, const RemovedFn& removed) {
    for (int round = 0; round < kMaxRounds && !enough(); ++round) {
      bool any = false;
      for (const IncomingEntry& entry : Oldest(from)) {
        if (enough()) return;
        if (!Remove(entry)) continue;
        removed(entry);
        any = true;
      }
      if (!any) return;
    }
  }

  // At most kBatch, the oldest first. What is in use is none of them.
  std::vector<IncomingEntry> Oldest(const std::string& from) const {
    std::vector<IncomingEntry> heap;  // Its front is the newest.
    IncomingVisitor visitor;
    visitor.file = [&](const IncomingEntry& entry) {
      if (heap.size() == kBatch && !IsOlder(entry, heap.front())) return;
      if (deps_.in_use && deps_.in_use(entry)) return;
      if (heap.size() == kBatch) {
        std::pop_heap(heap.begin(), heap.end(), IsOlder);
        heap.pop_back();
      }
      heap.push_back(entry);
      std::push_heap(heap.begin(), heap.end(), IsOlder);
    };
    visitor.odd = visitor.file;
    folder_.Scan(from, visitor);
    std::sort_heap(heap.begin(), heap.end(), IsOlder);
    return heap;
  }

  const IncomingFolder& folder_;
  const IncomingCleanupOptions& options_;
  const IncomingCleanupDeps& deps_;
  IncomingCleanupResult result_;
};

}  // namespace

IncomingCleanupResult CleanUpIncoming(const IncomingFolder& folder,
                                      const IncomingCleanupOptions& options,
                                      const IncomingCleanupDeps& deps, absl::Time now) {
  return Cleanup(folder, options, deps).Run(now);
}

}  // namespace viaduct
