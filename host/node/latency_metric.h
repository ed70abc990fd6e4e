// A histogram of the metrics registry that follows one of the core's.
#pragma once

#include <vector>

#include "core/gateway/link_stats.h"
#include "core/observe/metrics.h"

namespace viaduct {

// In seconds: from a quarter of a millisecond to a minute, each four times the one before.
std::vector<double> LatencyBounds();

// Adds to a histogram with these bounds what was counted since `seen`.
void MergeLatency(Metrics* metrics, MetricNumber number, const LatencySnapshot& now,
                  const LatencySnapshot& seen);

}  // namespace viaduct
