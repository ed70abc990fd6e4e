// One picture of the node's numbers.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/gateway/link_stats.h"
#include "host/services/deps.h"
#include "viaduct/control/v1/stats.pb.h"

namespace viaduct {

struct SnapshotQuery {
  std::vector<std::string> instances;  // Empty: all.
  bool samples = false;
  absl::Time epoch;
};

// NOT_FOUND names an instance that is not configured.
absl::StatusOr<control::v1::Snapshot> TakeSnapshot(const ServiceDeps& deps,
                                                   const SnapshotQuery& query);

void FillHistogram(const LatencySnapshot& latency, control::v1::Histogram* histogram);
// The feeds, then what callers of Gateway.Infer asked for.
void FillFeeds(const Vision& vision, control::v1::Snapshot* out);

// Resident memory of this process from /proc; 0 where it cannot be read.
uint64_t ResidentBytes();

}  // namespace viaduct
