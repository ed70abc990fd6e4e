// What HailoRT's statuses mean: for the health of the device, and for who may do something.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "plugins/hailo_lpr/backend_health.h"
#include "plugins/hailo_lpr/hailo/hailort_abi.h"

namespace viaduct::hailo_lpr {

struct HailoMeaning {
  const char* text;
  BackendState state;
  bool may_pass;  // Opening the device again may help; else an operator must act.
};

// Of every status but success.
HailoMeaning MeaningOf(hailort::Status status);
// UNAVAILABLE where it may pass; FAILED_PRECONDITION, and INVALID_ARGUMENT of a model, where not.
// "<subject>: <meaning> (HailoRT status N)".
absl::Status HailoError(const std::string& subject, hailort::Status status);

}  // namespace viaduct::hailo_lpr
