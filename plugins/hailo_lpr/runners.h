// Which library runs a model.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "plugins/hailo_lpr/runner.h"

namespace viaduct::hailo_lpr {

struct ModelSpec {
  std::string path;
  // "opencv", "onnxruntime", "hailo", or "auto": a .hef goes to hailo, everything else to opencv.
  std::string backend = "auto";
  int threads = 1;    // Of onnxruntime. OpenCV's are those of the process.
  TensorShape input;  // opencv must be told; the others know it, and it is checked if given.
  Normalisation normalisation;
  std::string library;    // The path of libhailort or libonnxruntime; "": the usual names.
  int timeout_ms = 2000;  // hailo: of writing or reading one frame, 1 to 60,000.
  // hailo, where the model chooses among boxes itself: the least score, and the most overlap.
  std::optional<float> nms_score;
  std::optional<float> nms_overlap;
};

// UNAVAILABLE: the device is away or busy, call again later. `health` is told also when it fails.
absl::StatusOr<std::unique_ptr<Runner>> MakeRunner(const ModelSpec& spec,
                                                   BackendHealth* health = nullptr);

}  // namespace viaduct::hailo_lpr
