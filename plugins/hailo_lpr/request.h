// The options of one request of viaduct.infer/1.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace viaduct::hailo_lpr {

struct InferRequest {
  static constexpr size_t kMaxBytes = 16 << 10;
  static constexpr size_t kMaxStreamBytes = 128;

  size_t alternatives = 3;  // Readings of each candidate.
  bool crops = true;
  bool annotated = false;
  std::optional<float> min_confidence;
  std::string stream;  // "": the frame is looked at by itself.
};

// `json`: an object or "". INVALID_ARGUMENT: names the member. Members for others than this plugin
// (ground_truth, submit) are passed over.
absl::StatusOr<InferRequest> ParseInferRequest(std::string_view json);

}  // namespace viaduct::hailo_lpr
