#include "plugins/hailo_lpr/opencv_runner.h"

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "opencv2/core/version.hpp"

namespace viaduct::hailo_lpr {
namespace {

// OpenCV's messages have line breaks and the path of its own sources.
absl::Status Failed(const std::string& path, const cv::Exception& error) {
  return absl::InvalidArgumentError(absl::StrCat("model: ", path, ": ", error.err));
}

}  // namespace

absl::StatusOr<std::unique_ptr<OpenCvRunner>> OpenCvRunner::Load(const std::string& path,
                                                                 TensorShape input,
                                                                 Normalisation normalisation) {
  if (absl::Status file = CheckModelFile(path); !file.ok()) return file;
  if (absl::Status size = CheckInput(input); !size.ok()) return size;
  auto runner = absl::WrapUnique(new OpenCvRunner(path, std::move(input), normalisation));
  try {
    runner->net_ = cv::dnn::readNetFromONNX(path);
    runner->net_.setPreferableBackend(cv::dnn::DNN_BACKEND_OPENCV);
    for (const auto& name : runner->net_.getUnconnectedOutLayersNames()) {
      runner->names_.push_back(name);
    }
  } catch (const cv::Exception& thrown) {
    return Failed(path, thrown);
  }
  if (runner->names_.empty() || runner->names_.size() > kMostOutputs) {
    return absl::InvalidArgumentError(
        absl::StrCat("model: ", path, ": has ", runner->names_.size(), " outputs"));
  }
  const std::vector<int>& sizes = runner->input_.sizes;
  const cv::Mat zeros(static_cast<int>(sizes.size()), sizes.data(), CV_32F, cv::Scalar(0));
  std::vector<Tensor> outputs;
  const absl::Status tried = runner->Run(zeros, &outputs);
  if (!tried.ok()) return tried;
  runner->infos_.assign(outputs.begin(), outputs.end());
  return runner;
}

absl::Status OpenCvRunner::Run(const cv::Mat& input, std::vector<Tensor>* outputs) {
  try {
    net_.setInput(input);
    net_.forward(results_, names_);
  } catch (const cv::Exception& thrown) {
    return Failed(path_, thrown);
  }
  outputs->resize(results_.size());
  for (size_t i = 0; i < results_.size(); ++i) {
    const cv::Mat& result = results_[i];
    if (result.type() != CV_32F || !result.isContinuous()) {
      return absl::InvalidArgumentError(
          absl::StrCat("model: ", path_, ": output ", names_[i], " has no 32-bit floats"));
    }
    Tensor& output = (*outputs)[i];
    static_cast<TensorInfo&>(output) = {};  // Who read the last ones may have turned them.
    output.name = names_[i];
    output.shape.sizes.assign(result.size.p, result.size.p + result.dims);
    output.values.assign(result.ptr<float>(), result.ptr<float>() + result.total());
  }
  return absl::OkStatus();
}

absl::Status OpenCvRunner::RunPicture(const cv::Mat& picture, std::vector<Tensor>* outputs) {
  const absl::Status filled = FillPlanes(picture, input_, normalisation_, &planes_);
  return filled.ok() ? Run(planes_, outputs) : filled;
}

BackendHealth OpenCvRunner::health() const {
  BackendHealth health;
  health.backend = "opencv";
  health.device = "cpu";
  health.library_version = CV_VERSION;
  return health;
}

}  // namespace viaduct::hailo_lpr
