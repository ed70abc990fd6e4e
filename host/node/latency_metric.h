// A histogram of the metrics registry that follows one of the core's.
#pragma once

#include <cstdint>
#include <vector>

#include "core/gateway/link_stats.h"
#include "core/observe/metrics.h"

namespace viaduct {

// In seconds: from a quarter of a millisecond to a minute, each four times the one before.
std::vector<double> LatencyBounds();

// What a counter has grown by since it was `seen`. One that is lower now has begun anew.
inline uint64_t GrownSince(uint64_t seen, uint64_t now) { return now < seen ? now : now - seen; }

// Adds to a histogram with these bounds what was counted since `seen`.
void MergeLatency(Metrics* metrics, MetricNumber number, const LatencySnapshot& now,
                  const LatencySnapshot& seen);

}  // namespace viaduct
