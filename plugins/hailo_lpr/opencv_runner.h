// Models in ONNX by the network module of OpenCV: always there, one thread.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "opencv2/dnn.hpp"
#include "plugins/hailo_lpr/picture_input.h"
#include "plugins/hailo_lpr/runner.h"

namespace viaduct::hailo_lpr {

// Outputs of a model; no detector or recogniser needs more.
inline constexpr size_t kMostOutputs = 16;

class OpenCvRunner final : public Runner {
 public:
  // Reads the model and tries it once with zeros. NOT_FOUND: no such file; INVALID_ARGUMENT: no
  // model that OpenCV can run, or not with this size of input. (It does run some models with
  // another number of channels than they have: the size must be known.)
  static absl::StatusOr<std::unique_ptr<OpenCvRunner>> Load(const std::string& path,
                                                            TensorShape input,
                                                            Normalisation normalisation = {});

  const TensorShape& input() const override { return input_; }
  const std::vector<TensorInfo>& outputs() const override { return infos_; }
  absl::Status Run(const cv::Mat& input, std::vector<Tensor>* outputs) override;
  absl::Status RunPicture(const cv::Mat& picture, std::vector<Tensor>* outputs) override;
  BackendHealth health() const override;

 private:
  OpenCvRunner(std::string path, TensorShape input, Normalisation normalisation)
      : path_(std::move(path)), input_(std::move(input)), normalisation_(normalisation) {}

  const std::string path_;
  const TensorShape input_;
  const Normalisation normalisation_;
  cv::dnn::Net net_;
  std::vector<std::string> names_;  // Of the outputs.
  std::vector<TensorInfo> infos_;
  std::vector<cv::Mat> results_;
  cv::Mat planes_;
};

}  // namespace viaduct::hailo_lpr
