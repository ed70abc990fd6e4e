// Measuring the road of an instance that offers viaduct.probe/1.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/plugin/link.h"

namespace viaduct {

struct ProbeResult {
  absl::Status status;  // OK: the peer answered. DEADLINE_EXCEEDED, CANCELLED are the host's.
  absl::Duration round_trip = absl::ZeroDuration();
  uint64_t bytes_sent = 0;
  uint64_t bytes_received = 0;
};
using ProbeDoneFn = std::function<void(ProbeResult)>;

// Stays the same over restarts of its instance. Thread-safe.
class RoadProber {
 public:
  explicit RoadProber(std::shared_ptr<CurrentIncarnation> current) : current_(std::move(current)) {}

  bool ready() const;
  // Measures once. `done` is called exactly once, on any thread, possibly before Probe returns,
  // soon after `limit` at the latest.
  void Probe(absl::Duration limit, uint32_t payload_bytes, ProbeDoneFn done);

 private:
  const std::shared_ptr<CurrentIncarnation> current_;
};

}  // namespace viaduct
