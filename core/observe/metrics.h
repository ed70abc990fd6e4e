// Counters, gauges and histograms: registered once for a number, then updated by number without a
// lock. prometheus-cpp gives the data model and the text format; there is no server in here.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

namespace viaduct {

enum class MetricKind : uint8_t { kCounter, kGauge, kHistogram };

struct MetricSpec {
  MetricKind kind = MetricKind::kCounter;
  std::string name;  // viaduct_<area>_<noun>_<unit>; a counter ends in _total.
  std::string help;  // One sentence.
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<double> bounds;  // Histogram: upper bounds, ascending, without infinity.
  // Who pays for it and with whom it goes: "<instance>/<plugin>", "" for the node itself.
  std::string owner;
};

using MetricNumber = uint32_t;  // 0 is none.

// One sample, as the text shows it. A histogram gives its _bucket, _sum and _count.
struct MetricSample {
  std::string name;
  std::vector<std::pair<std::string, std::string>> labels;
  double value = 0;
};

// Thread-safe. Increase on counters, Set and Observe are wait-free, Increase on gauges is
// lock-free; all of them use relaxed atomics only and ignore a wrong number.
class Metrics final : public prometheus::Collectable {
 public:
  static constexpr size_t kMaxSeries = 4096;         // All of a node.
  static constexpr size_t kMaxSeriesPerOwner = 256;  // One instance; the node itself has the rest.
  static constexpr size_t kMaxBounds = 32;
  static constexpr size_t kMaxLabels = 8;
  static constexpr size_t kMaxTextBytes = 256;  // Name, help or label value.

  Metrics();
  ~Metrics() override;
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // The same name and labels give the same number again. INVALID_ARGUMENT: bad name, label or
  // bounds, or the name is in use with another kind or other bounds; RESOURCE_EXHAUSTED: over a
  // limit.
  absl::StatusOr<MetricNumber> Add(const MetricSpec& spec);
  // Forgets every series of an owner. No thread may use its numbers any more: they are given anew.
  void RemoveOwner(std::string_view owner);

  void Increase(MetricNumber number, double delta = 1);
  void Set(MetricNumber number, double value);
  void Observe(MetricNumber number, double value);
  // What was counted elsewhere since the last time: so many observations in each bucket, the last
  // one up to infinity, and the sum of them. Another number of buckets is ignored.
  void Merge(MetricNumber number, absl::Span<const uint64_t> counts, double sum);

  // Families ordered by name.
  std::vector<prometheus::MetricFamily> Collect() const override;
  std::vector<MetricSample> Samples() const;
  // Prometheus text exposition format 0.0.4.
  std::string ExpositionText() const;

  size_t series_count() const;

 private:
  struct Series;
  struct Family;

  Series* Find(MetricNumber number) const {
    return number < kMaxSeries ? (*table_)[number].load(std::memory_order_acquire) : nullptr;
  }
  absl::StatusOr<MetricNumber> FreeNumber(std::string_view owner)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  using Table = std::array<std::atomic<Series*>, kMaxSeries>;
  const std::unique_ptr<Table> table_;
  mutable absl::Mutex mutex_;
  std::map<std::string, Family, std::less<>> families_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, size_t, std::less<>> owned_ ABSL_GUARDED_BY(mutex_);
  std::vector<MetricNumber> free_ ABSL_GUARDED_BY(mutex_);
  MetricNumber next_ ABSL_GUARDED_BY(mutex_) = 1;
};

}  // namespace viaduct
