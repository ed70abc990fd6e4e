// What the node knows about its exchanges with peers: figures per protocol in memory, one line per
// exchange in the store.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/store/store.h"

namespace viaduct {

struct CommunicationFigures {
  std::string protocol;
  int64_t attempts = 0;
  int64_t successes = 0;
  int64_t bytes = 0;
  double average_ms = 0;
  double p50_ms = 0;  // Upper bound of a bucket, each a quarter wider than the one before.
  double p99_ms = 0;
};

// Thread-safe. Lines are written in bundles, with what else is written; the log is for people, so
// up to kBundle lines and those that the store does not hurry with may be lost in a crash.
class CommunicationMeter {
 public:
  static constexpr size_t kBundle = 32;
  static constexpr size_t kMaxProtocols = 32;

  // `store` may be null: figures only. It must outlive the meter.
  explicit CommunicationMeter(Store* store) : store_(store) {}

  void Record(CommunicationRecord record, size_t bytes);
  // Hands what is bundled to the store and calls `then` when all lines are written.
  void Flush(std::function<void()> then);

  std::vector<CommunicationFigures> Figures() const;

 private:
  static constexpr size_t kBuckets = 96;
  static constexpr double kFirstBucketMs = 0.01;
  static constexpr double kGrowth = 1.25;

  struct Totals {
    int64_t attempts = 0;
    int64_t successes = 0;
    int64_t bytes = 0;
    double latency_ms = 0;
    std::array<int64_t, kBuckets> buckets{};
  };
  static size_t BucketOf(double latency_ms);
  static double Quantile(const Totals& totals, double q);

  Store* const store_;
  mutable absl::Mutex mutex_;
  std::map<std::string, Totals, std::less<>> totals_ ABSL_GUARDED_BY(mutex_);
  std::vector<StoreRecord> bundle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct
