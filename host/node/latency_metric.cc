#include "host/node/latency_metric.h"

#include <array>

namespace viaduct {
namespace {

// Each bucket of the registry holds kStep of the core's, from 2^kFirst to 2^kLast us.
constexpr size_t kFirst = 8;
constexpr size_t kStep = 2;
constexpr size_t kLast = 26;

// Which bucket of the registry has what is below 2^power us.
size_t BucketOf(size_t power) {
  if (power <= kFirst) return 0;
  return power > kLast ? (kLast - kFirst) / kStep + 1 : (power - kFirst + kStep - 1) / kStep;
}

}  // namespace

std::vector<double> LatencyBounds() {
  std::vector<double> bounds;
  for (size_t power = kFirst; power <= kLast; power += kStep) {
    bounds.push_back(static_cast<double>(uint64_t{1} << power) / 1e6);
  }
  return bounds;
}

void MergeLatency(Metrics* metrics, MetricNumber number, const LatencySnapshot& now,
                  const LatencySnapshot& seen) {
  std::array<uint64_t, (kLast - kFirst) / kStep + 2> counts{};
  for (size_t i = 0; i < LatencySnapshot::kBuckets; ++i) {
    counts[BucketOf(i)] += GrownSince(seen.buckets[i], now.buckets[i]);
  }
  metrics->Merge(number, counts, static_cast<double>(GrownSince(seen.sum_us, now.sum_us)) / 1e6);
}

}  // namespace viaduct
