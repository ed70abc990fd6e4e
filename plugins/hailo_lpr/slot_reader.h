// Reads the picture of a plate with a model of a user's that has a slot for each character.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "plugins/hailo_lpr/plate_reader.h"
#include "plugins/hailo_lpr/runner.h"
#include "plugins/hailo_lpr/slots.h"

namespace viaduct::hailo_lpr {

class SlotReader final : public Recogniser {
 public:
  // `runner` takes the crop as it is, stretched to its input.
  SlotReader(std::unique_ptr<Runner> runner, SlotOptions options)
      : runner_(std::move(runner)), options_(std::move(options)) {}

  absl::Status Read(const cv::Mat& picture, const Detection& plate,
                    std::vector<Reading>* readings) override;

 private:
  const std::unique_ptr<Runner> runner_;
  const SlotOptions options_;
  cv::Mat fitted_;
  std::vector<Tensor> outputs_;
};

}  // namespace viaduct::hailo_lpr
