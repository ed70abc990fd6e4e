// Models in ONNX by the network module of OpenCV: always there, one thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "opencv2/dnn.hpp"
#include "plugins/hailo_lpr/runner.h"

namespace viaduct::hailo_lpr {

class OpenCvRunner final : public Runner {
 public:
  static constexpr int64_t kMaxModelBytes = 512LL << 20;
  static constexpr int kMostOutputs = 16;

  // Reads the model and tries it once with zeros. NOT_FOUND: no such file; INVALID_ARGUMENT: no
  // model that OpenCV can run, or not with this size of input. (It does run some models with
  // another number of channels than they have: the size must be known.)
  static absl::StatusOr<std::unique_ptr<OpenCvRunner>> Load(const std::string& path,
                                                            TensorShape input);

  const TensorShape& input() const override { return input_; }
  absl::Status Run(const cv::Mat& input, std::vector<Tensor>* outputs) override;

 private:
  OpenCvRunner(std::string path, TensorShape input)
      : path_(std::move(path)), input_(std::move(input)) {}

  const std::string path_;
  const TensorShape input_;
  cv::dnn::Net net_;
  std::vector<std::string> names_;  // Of the outputs.
  std::vector<cv::Mat> results_;
};

}  // namespace viaduct::hailo_lpr
