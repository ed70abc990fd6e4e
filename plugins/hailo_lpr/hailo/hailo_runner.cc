#include "plugins/hailo_lpr/hailo/hailo_runner.h"

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "plugins/hailo_lpr/picture_input.h"

namespace viaduct::hailo_lpr {

HailoRunner::HailoRunner(const ModelSpec& spec, std::shared_ptr<HailoDevice> device)
    : normalisation_(spec.normalisation),
      device_(std::move(device)),
      model_({spec.path, spec.timeout_ms, spec.nms_score, spec.nms_overlap}) {}

absl::StatusOr<std::unique_ptr<HailoRunner>> HailoRunner::Load(const ModelSpec& spec,
                                                               std::shared_ptr<HailoDevice> device,
                                                               BackendHealth* health) {
  auto runner = absl::WrapUnique(new HailoRunner(spec, std::move(device)));
  absl::Status opened = runner->Open();
  if (opened.ok() && !spec.input.sizes.empty() && spec.input != runner->input()) {
    opened = runner->Kept(absl::InvalidArgumentError(
        absl::StrCat("model: ", spec.path, ": takes ", absl::StrJoin(runner->input().sizes, "x"),
                     ", not ", absl::StrJoin(spec.input.sizes, "x"))));
  }
  *health = runner->health();
  if (!opened.ok()) return opened;
  return runner;
}

// What an operator must see to is not tried again and again.
absl::Status HailoRunner::Kept(const absl::Status& status) {
  if (!status.ok() && !absl::IsUnavailable(status)) {
    const absl::MutexLock lock(&mutex_);
    refused_ = status;
  }
  return status;
}

absl::Status HailoRunner::Open() {
  {
    const absl::MutexLock lock(&mutex_);
    if (!refused_.ok()) return refused_;
  }
  return Kept(device_->Open(&model_));
}

absl::Status HailoRunner::Infer(std::vector<Tensor>* outputs) {
  uint64_t generation = 0;
  hailort::Status status = model_.Infer(pixels_, outputs, &generation);
  if (generation == 0) {
    if (absl::Status opened = Open(); !opened.ok()) return opened;
    status = model_.Infer(pixels_, outputs, &generation);
    // Another model has closed the device between the two.
    if (generation == 0) return absl::UnavailableError("Hailo device: was closed again");
  }
  if (status != hailort::kSuccess) return Kept(device_->Failed(&model_, status, generation));
  device_->Answered();
  return absl::OkStatus();
}

absl::Status HailoRunner::Run(const cv::Mat& input, std::vector<Tensor>* outputs) {
  const absl::Status filled = PlanesToPixels(input, model_.input(), normalisation_, &pixels_);
  return filled.ok() ? Infer(outputs) : filled;
}

absl::Status HailoRunner::RunPicture(const cv::Mat& picture, std::vector<Tensor>* outputs) {
  const absl::Status filled = FillPixels(picture, model_.input(), &pixels_);
  return filled.ok() ? Infer(outputs) : filled;
}

BackendHealth HailoRunner::health() const {
  BackendHealth health = device_->health();
  const absl::MutexLock lock(&mutex_);
  if (refused_.ok() || !Works(health.state)) return health;
  // The device is well, this model is not.
  health.state =
      absl::IsFailedPrecondition(refused_) ? BackendState::kFailed : BackendState::kBadModel;
  health.reason = std::string(refused_.message());
  return health;
}

}  // namespace viaduct::hailo_lpr
