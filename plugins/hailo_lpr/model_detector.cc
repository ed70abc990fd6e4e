#include "plugins/hailo_lpr/model_detector.h"

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "plugins/hailo_lpr/letterbox.h"

namespace viaduct::hailo_lpr {
namespace {

cv::Size SizeOf(const Runner& runner) {
  const std::vector<int>& sizes = runner.input().sizes;
  return {sizes[3], sizes[2]};
}

}  // namespace

absl::StatusOr<std::unique_ptr<ModelDetector>> ModelDetector::Create(
    std::unique_ptr<Runner> runner, const DetectorOptions& options) {
  const std::vector<TensorInfo>& outputs = runner->outputs();
  const auto kind = ChooseOutputKind(options.output, outputs, SizeOf(*runner));
  if (!kind.ok()) return kind.status();
  const size_t classes = outputs[0].classes;
  if (classes != 0 && options.classes > classes) {
    return absl::InvalidArgumentError(absl::StrCat("model: tells ", classes, " classes apart, ",
                                                   options.classes, " are configured"));
  }
  return absl::WrapUnique(new ModelDetector(std::move(runner), *kind, options));
}

absl::Status ModelDetector::Detect(const cv::Mat& picture, std::vector<Detection>* found) {
  found->clear();
  if (picture.empty()) return absl::OkStatus();
  const cv::Size size = SizeOf(*runner_);
  const Letterbox letterbox(picture.size(), size);
  letterbox.Fill(picture, &boxed_);
  absl::Status done = runner_->RunPicture(boxed_, &outputs_);
  if (done.ok()) {
    done = DecodeOutputs(kind_, size, options_.logits, options_.decode, &outputs_, found);
  }
  for (Detection& one : *found) one.box = letterbox.Undo(one.box);
  return done;
}

}  // namespace viaduct::hailo_lpr
