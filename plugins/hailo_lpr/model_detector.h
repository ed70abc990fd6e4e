// Finds what a model was trained to find.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "plugins/hailo_lpr/decoders.h"
#include "plugins/hailo_lpr/detection.h"
#include "plugins/hailo_lpr/runner.h"

namespace viaduct::hailo_lpr {

struct DetectorOptions {
  // How the model says what it found (decoders.h): "auto" (by its outputs), "nms", "yolo8",
  // "yolo8_heads" or "yolo4_tiny".
  std::string output = "auto";
  size_t classes = 1;  // That it tells apart, for "nms".
  DecodeOptions decode;
};

class ModelDetector final : public Detector {
 public:
  // Of each class, in an output of "nms".
  static constexpr size_t kMostOfAClass = 100;

  // `runner` takes three channels, RGB in 0 to 1. INVALID_ARGUMENT: another number of them, or an
  // unknown output.
  static absl::StatusOr<std::unique_ptr<ModelDetector>> Create(std::unique_ptr<Runner> runner,
                                                               const DetectorOptions& options);

  absl::Status Detect(const cv::Mat& picture, std::vector<Detection>* found) override;

 private:
  ModelDetector(std::unique_ptr<Runner> runner, DetectorOptions options)
      : runner_(std::move(runner)), options_(std::move(options)) {}
  std::string output() const;
  absl::Status Decode(cv::Size input, std::vector<Detection>* found) const;

  const std::unique_ptr<Runner> runner_;
  const DetectorOptions options_;
  cv::Mat colour_, boxed_, input_;
  std::vector<Tensor> outputs_;
};

}  // namespace viaduct::hailo_lpr
