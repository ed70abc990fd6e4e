// Vehicles as what moves before a fixed camera: no model, so no class either.
#pragma once

#include <vector>

#include "opencv2/core.hpp"
#include "opencv2/video/background_segm.hpp"
#include "plugins/hailo_lpr/detection.h"

namespace viaduct::hailo_lpr {

class MotionDetector final : public Detector {
 public:
  static constexpr size_t kMostFound = 16;

  absl::Status Detect(const cv::Mat& picture, std::vector<Detection>* found) override;

 private:
  cv::Ptr<cv::BackgroundSubtractorMOG2> background_;
  int seen_ = 0;  // Pictures of this size, as far as they matter.
  cv::Size size_;
  cv::Mat grey_, small_, mask_;
};

}  // namespace viaduct::hailo_lpr
