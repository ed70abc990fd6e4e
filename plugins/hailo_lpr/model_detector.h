// Finds what a model was trained to find.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "plugins/hailo_lpr/decoders.h"
#include "plugins/hailo_lpr/detection.h"
#include "plugins/hailo_lpr/output_kind.h"
#include "plugins/hailo_lpr/runner.h"

namespace viaduct::hailo_lpr {

struct DetectorOptions {
  // How the model says what it found (output_kind.h): "auto" (by its outputs), "nms", "yolo8",
  // "yolo8_heads", "yolo4_tiny" or "yolo4_tiny_plates".
  std::string output = "auto";
  bool logits = false;  // Scores of "yolo8_heads" have not been through a sigmoid.
  size_t classes = 0;   // So many at least the model must tell apart, where it says how many.
  DecodeOptions decode;
};

class ModelDetector final : public Detector {
 public:
  // INVALID_ARGUMENT: outputs that are not those of a detector.
  static absl::StatusOr<std::unique_ptr<ModelDetector>> Create(std::unique_ptr<Runner> runner,
                                                               const DetectorOptions& options);

  absl::Status Detect(const cv::Mat& picture, std::vector<Detection>* found) override;
  const Runner& runner() const { return *runner_; }

 private:
  ModelDetector(std::unique_ptr<Runner> runner, OutputKind kind, DetectorOptions options)
      : runner_(std::move(runner)), kind_(kind), options_(std::move(options)) {}

  const std::unique_ptr<Runner> runner_;
  const OutputKind kind_;
  const DetectorOptions options_;
  cv::Mat boxed_;
  std::vector<Tensor> outputs_;
};

}  // namespace viaduct::hailo_lpr
