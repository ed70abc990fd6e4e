#include "plugins/hailo_lpr/model_detector.h"

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "opencv2/imgproc.hpp"
#include "plugins/hailo_lpr/letterbox.h"

namespace viaduct::hailo_lpr {
namespace {

constexpr int kChannels = 3;
constexpr double kMostValue = 255;
constexpr char kAuto[] = "auto";
constexpr char kNms[] = "nms";
constexpr char kYolo8[] = "yolo8";
constexpr char kYolo8Heads[] = "yolo8_heads";
constexpr char kYolo4Tiny[] = "yolo4_tiny";
constexpr const char* kOutputs[] = {kAuto, kNms, kYolo8, kYolo8Heads, kYolo4Tiny};

}  // namespace

absl::StatusOr<std::unique_ptr<ModelDetector>> ModelDetector::Create(
    std::unique_ptr<Runner> runner, const DetectorOptions& options) {
  const std::vector<int>& sizes = runner->input().sizes;
  if (sizes.size() != 4 || sizes[1] != kChannels) {
    return absl::InvalidArgumentError("model: a detector takes 1 x 3 x rows x columns");
  }
  for (const char* known : kOutputs) {
    if (options.output == known) {
      return absl::WrapUnique(new ModelDetector(std::move(runner), options));
    }
  }
  return absl::InvalidArgumentError(absl::StrCat("model: unknown output, ", options.output));
}

absl::Status ModelDetector::Detect(const cv::Mat& picture, std::vector<Detection>* found) {
  found->clear();
  const std::vector<int>& sizes = runner_->input().sizes;
  const cv::Size size(sizes[3], sizes[2]);
  const cv::Mat* seen = &picture;
  if (picture.channels() == 1) {
    cv::cvtColor(picture, colour_, cv::COLOR_GRAY2BGR);
    seen = &colour_;
  }
  const Letterbox letterbox(picture.size(), size);
  letterbox.Fill(*seen, &boxed_);
  input_.create(4, sizes.data(), CV_32F);
  cv::Mat planes[kChannels];
  cv::split(boxed_, planes);
  for (int i = 0; i < kChannels; ++i) {  // From BGR to RGB.
    cv::Mat plane(size, CV_32F, input_.ptr<float>(0, i));
    planes[kChannels - 1 - i].convertTo(plane, CV_32F, 1 / kMostValue);
  }
  absl::Status status = runner_->Run(input_, &outputs_);
  if (status.ok()) status = Decode(size, found);
  if (!status.ok()) return status;
  const bool normalised = output() == kNms;
  for (Detection& one : *found) {
    one.box = normalised ? letterbox.UndoNormalised(one.box) : letterbox.Undo(one.box);
  }
  return absl::OkStatus();
}

std::string ModelDetector::output() const {
  if (options_.output != kAuto) return options_.output;
  if (outputs_.size() == 1) return kYolo8;
  return outputs_.size() == 2 ? kYolo4Tiny : kYolo8Heads;
}

absl::Status ModelDetector::Decode(cv::Size input, std::vector<Detection>* found) const {
  if (outputs_.empty()) return absl::InvalidArgumentError("model: it has no output");
  const std::string kind = output();
  if (kind == kNms) {
    return DecodeNmsByClass(outputs_[0].values, options_.classes, kMostOfAClass, options_.decode,
                            found);
  }
  if (kind == kYolo8) return DecodeYolo8(outputs_[0], options_.decode, found);
  if (kind == kYolo4Tiny) return DecodeTinyYolo4(outputs_, input, options_.decode, found);
  return DecodeYolo8Heads(outputs_, input, /*logits=*/true, options_.decode, found);
}

}  // namespace viaduct::hailo_lpr
