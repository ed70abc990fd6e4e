#include "plugins/hailo_lpr/slot_reader.h"

#include "opencv2/imgproc.hpp"

namespace viaduct::hailo_lpr {

absl::Status SlotReader::Read(const cv::Mat& picture, const Detection& plate,
                              std::vector<Reading>* readings) {
  readings->clear();
  const cv::Mat crop = CropUpright(picture, plate);
  if (crop.empty()) return absl::OkStatus();
  const std::vector<int>& sizes = runner_->input().sizes;
  cv::resize(crop, fitted_, cv::Size(sizes[3], sizes[2]), 0, 0, cv::INTER_LINEAR);
  const absl::Status run = runner_->RunPicture(fitted_, &outputs_);
  if (!run.ok()) return run;
  return DecodeSlots(outputs_[0], options_, readings);
}

}  // namespace viaduct::hailo_lpr
