// Models compiled for a Hailo (HEF).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "plugins/hailo_lpr/hailo/hailo_device.h"
#include "plugins/hailo_lpr/runner.h"
#include "plugins/hailo_lpr/runners.h"

namespace viaduct::hailo_lpr {

class HailoRunner final : public Runner {
 public:
  // Loads the model onto `device`. `health` is told also when it fails.
  static absl::StatusOr<std::unique_ptr<HailoRunner>> Load(const ModelSpec& spec,
                                                           std::shared_ptr<HailoDevice> device,
                                                           BackendHealth* health);
  ~HailoRunner() override { device_->Remove(&model_); }

  const TensorShape& input() const override { return model_.input(); }
  const std::vector<TensorInfo>& outputs() const override { return model_.outputs(); }
  // The chip takes octets: the floats are made to them by the inverse of the normalisation.
  absl::Status Run(const cv::Mat& input, std::vector<Tensor>* outputs) override;
  absl::Status RunPicture(const cv::Mat& picture, std::vector<Tensor>* outputs) override;
  BackendHealth health() const override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  HailoRunner(const ModelSpec& spec, std::shared_ptr<HailoDevice> device);

  absl::Status Open() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Infer(std::vector<Tensor>* outputs) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Kept(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);

  const Normalisation normalisation_;
  const std::shared_ptr<HailoDevice> device_;
  HailoModel model_;
  std::vector<uint8_t> pixels_;
  mutable absl::Mutex mutex_;
  absl::Status refused_ ABSL_GUARDED_BY(mutex_);  // Not ok: for good.
};

}  // namespace viaduct::hailo_lpr
