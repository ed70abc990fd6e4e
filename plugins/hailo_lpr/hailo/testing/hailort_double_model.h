// A model of the double: our own ONNX, with the inputs and outputs of a HEF.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "plugins/hailo_lpr/hailo/testing/hailort_double.h"
#include "plugins/hailo_lpr/runner.h"

namespace viaduct::hailo_lpr::hailort {

class RunningModel {
 public:
  static absl::StatusOr<std::unique_ptr<RunningModel>> Load(const DoubleModel& model);

  // Pixels, RGB or grey.
  absl::Status Infer(const std::vector<uint8_t>& pixels);
  // Of output `at`, after Infer; as a HEF gives it: channels last, or the boxes.
  const std::vector<uint8_t>& frame(size_t at) const { return frames_[at]; }
  size_t frame_octets(size_t at) const;
  size_t outputs() const { return form_ == TensorForm::kPlain ? runner_->outputs().size() : 1; }
  const std::string& name(size_t at) const { return runner_->outputs()[at].name; }
  // Rows, columns and channels of a plain one.
  std::vector<uint32_t> shape(size_t at) const;

 private:
  explicit RunningModel(const DoubleModel& model)
      : input_(model.input),
        form_(model.form),
        classes_(model.classes),
        most_of_a_class_(model.most_of_a_class) {}
  absl::Status WriteBoxes(const std::vector<Tensor>& outputs);

  const TensorShape input_;
  const TensorForm form_;
  const size_t classes_;
  const size_t most_of_a_class_;
  std::unique_ptr<Runner> runner_;
  std::vector<std::vector<uint8_t>> frames_;
};

}  // namespace viaduct::hailo_lpr::hailort
