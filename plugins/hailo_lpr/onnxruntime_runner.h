// Models in ONNX by ONNX Runtime, where that is installed: faster than OpenCV, and runs more.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "plugins/hailo_lpr/onnxruntime_abi.h"
#include "plugins/hailo_lpr/picture_input.h"
#include "plugins/hailo_lpr/runner.h"
#include "plugins/hailo_lpr/runners.h"

namespace viaduct::hailo_lpr {

// The library, found on this machine. Immutable.
class OnnxRuntimeLibrary {
 public:
  // `path` "": libonnxruntime.so, then libonnxruntime.so.1. NOT_FOUND, or FAILED_PRECONDITION.
  static absl::StatusOr<std::shared_ptr<const OnnxRuntimeLibrary>> Open(const std::string& path);

  const onnxruntime::Functions& functions() const { return functions_; }
  const std::string& version() const { return version_; }
  // Of a call: it releases `status`.
  absl::Status ToStatus(const std::string& subject, onnxruntime::Status status) const;

 private:
  OnnxRuntimeLibrary() = default;

  onnxruntime::Functions functions_;
  std::string version_;
};

class OnnxRuntimeRunner final : public Runner {
 public:
  static constexpr int kMostThreads = 64;
  static constexpr size_t kMostElements = size_t{16} << 20;  // Of an output.

  // Reads the model and tries it once with zeros. NOT_FOUND: no such file or library;
  // INVALID_ARGUMENT: no model that it can run, or not one with a picture as its input.
  static absl::StatusOr<std::unique_ptr<OnnxRuntimeRunner>> Load(const ModelSpec& spec,
                                                                 BackendHealth* health);
  ~OnnxRuntimeRunner() override;

  const TensorShape& input() const override { return input_; }
  const std::vector<TensorInfo>& outputs() const override { return infos_; }
  absl::Status Run(const cv::Mat& input, std::vector<Tensor>* outputs) override;
  absl::Status RunPicture(const cv::Mat& picture, std::vector<Tensor>* outputs) override;
  BackendHealth health() const override;

 private:
  OnnxRuntimeRunner(const ModelSpec& spec, std::shared_ptr<const OnnxRuntimeLibrary> library);

  absl::Status OpenSession(int threads);
  absl::Status ReadInput(const TensorShape& wanted);
  absl::Status ReadInputShape(const TensorShape& wanted, onnxruntime::TypeInfo type);
  absl::Status ReadNames();
  absl::Status RunOn(void* data, std::vector<Tensor>* outputs);
  absl::Status ReadOutput(onnxruntime::Value value, Tensor* output) const;
  absl::Status Checked(onnxruntime::Status status) const;

  const std::string path_;
  const Normalisation normalisation_;
  const std::shared_ptr<const OnnxRuntimeLibrary> library_;
  const onnxruntime::Functions& api_;
  TensorShape input_;
  // It takes rows x columns x channels of octets, not planes of floats.
  bool takes_pixels_ = false;
  std::vector<uint8_t> pixels_;
  std::string input_name_;
  std::vector<std::string> names_;  // Of the outputs.
  std::vector<TensorInfo> infos_;
  cv::Mat planes_;
  onnxruntime::Env env_ = nullptr;
  onnxruntime::Session session_ = nullptr;
  onnxruntime::MemoryInfo memory_ = nullptr;
};

}  // namespace viaduct::hailo_lpr
