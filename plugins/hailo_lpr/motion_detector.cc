#include "plugins/hailo_lpr/motion_detector.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "opencv2/imgproc.hpp"

namespace viaduct::hailo_lpr {
namespace {

constexpr int kWidth = 320;           // Pictures are looked at in this width.
constexpr int kHistory = 300;         // Pictures that the background is made of.
constexpr int kLearning = 10;         // Before that many nothing can be said to move.
constexpr int kForeground = 255;      // What the subtractor says; it has another value for shadows.
constexpr int kJoined = 9;            // Parts of one vehicle are at most so far apart.
constexpr double kLeastArea = 0.003;  // Of the picture.
constexpr float kMostCommon = 0.5F;

}  // namespace

absl::Status MotionDetector::Detect(const cv::Mat& picture, std::vector<Detection>* found) try {
  found->clear();
  if (picture.channels() == 3) {
    cv::cvtColor(picture, grey_, cv::COLOR_BGR2GRAY);
  } else {
    grey_ = picture;
  }
  const double scale = std::min(1.0, static_cast<double>(kWidth) / picture.cols);
  cv::resize(grey_, small_, cv::Size(), scale, scale, cv::INTER_AREA);
  if (background_ == nullptr || picture.size() != size_) {
    background_ = cv::createBackgroundSubtractorMOG2(kHistory);
    size_ = picture.size();
    seen_ = 0;
  }
  background_->apply(small_, mask_);
  seen_ = std::min(seen_ + 1, kLearning);
  if (seen_ < kLearning) return absl::OkStatus();
  cv::threshold(mask_, mask_, kForeground - 1, kForeground, cv::THRESH_BINARY);
  const cv::Mat shape = cv::getStructuringElement(cv::MORPH_RECT, {kJoined, kJoined});
  cv::morphologyEx(mask_, mask_, cv::MORPH_OPEN, cv::Mat());
  cv::morphologyEx(mask_, mask_, cv::MORPH_CLOSE, shape);
  std::vector<std::vector<cv::Point>> shapes;
  cv::findContours(mask_, shapes, cv::RETR_EXTERNAL, cv::CHAIN_APPROX_SIMPLE);
  const auto up = static_cast<float>(1 / scale);
  for (const auto& one : shapes) {
    const cv::Rect box = cv::boundingRect(one);
    const double share = static_cast<double>(box.area()) / static_cast<double>(mask_.total());
    if (share < kLeastArea) continue;
    Detection vehicle;
    vehicle.box = {static_cast<float>(box.x) * up, static_cast<float>(box.y) * up,
                   static_cast<float>(box.br().x) * up, static_cast<float>(box.br().y) * up};
    vehicle.score = static_cast<float>(share);
    found->push_back(vehicle);
  }
  KeepBest(kMostCommon, kMostFound, found);
  return absl::OkStatus();
} catch (const cv::Exception& error) {
  return absl::InternalError(absl::StrCat("motion: ", error.err));
}

}  // namespace viaduct::hailo_lpr
