// A message that a road carries, how that ended, and how long the road is.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace viaduct {

struct Delivery {
  uint64_t token = 0;
  std::string message_id;
  std::string envelope;
};

enum class DeliveryOutcome { kDurable, kReject, kRetry, kCancelled };

struct DeliveryResult {
  uint64_t token = 0;
  DeliveryOutcome outcome = DeliveryOutcome::kRetry;
  bool duplicate = false;
  absl::Status status;
  absl::Duration retry_after = absl::ZeroDuration();  // What the peer asked for, with kRetry.
};

// What a probe cost in octets of its protocol, as far as the plugin knows: without what TLS, SSH
// and TCP add, and without connections that it opens.
struct ProbeCost {
  uint64_t sent = 0;
  uint64_t received = 0;
};

// What a probe found; `round_trip` is that of an answer.
using ProbeFn = std::function<void(const absl::Status& status, absl::Duration round_trip,
                                   const ProbeCost& cost)>;

}  // namespace viaduct
