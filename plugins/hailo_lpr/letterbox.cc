#include "plugins/hailo_lpr/letterbox.h"

#include <algorithm>
#include <cmath>

#include "opencv2/imgproc.hpp"

namespace viaduct::hailo_lpr {
namespace {

constexpr double kGrey = 114;  // As the YOLO family was trained with.

}  // namespace

Letterbox::Letterbox(cv::Size from, cv::Size to)
    : from_(from),
      to_(to),
      scale_(std::min(static_cast<float>(to.width) / static_cast<float>(from.width),
                      static_cast<float>(to.height) / static_cast<float>(from.height))) {
  const auto scaled = [this](int size, int most) {
    return std::clamp(static_cast<int>(std::lround(static_cast<float>(size) * scale_)), 1, most);
  };
  inside_.width = scaled(from.width, to.width);
  inside_.height = scaled(from.height, to.height);
  inside_.x = (to.width - inside_.width) / 2;
  inside_.y = (to.height - inside_.height) / 2;
}

void Letterbox::Fill(const cv::Mat& picture, cv::Mat* input) const {
  input->create(to_, picture.type());
  if (inside_.size() != to_) input->setTo(cv::Scalar::all(kGrey));
  cv::Mat inside = (*input)(inside_);
  const int how = scale_ < 1 ? cv::INTER_AREA : cv::INTER_LINEAR;
  cv::resize(picture, inside, inside_.size(), 0, 0, how);
}

Box Letterbox::Undo(const Box& box) const {
  const auto x = [this](float at) {
    return std::clamp((at - static_cast<float>(inside_.x)) / scale_, 0.0F,
                      static_cast<float>(from_.width));
  };
  const auto y = [this](float at) {
    return std::clamp((at - static_cast<float>(inside_.y)) / scale_, 0.0F,
                      static_cast<float>(from_.height));
  };
  return {x(box.left), y(box.top), x(box.right), y(box.bottom)};
}

Box Letterbox::UndoNormalised(const Box& box) const {
  const auto width = static_cast<float>(to_.width);
  const auto height = static_cast<float>(to_.height);
  return Undo({box.left * width, box.top * height, box.right * width, box.bottom * height});
}

}  // namespace viaduct::hailo_lpr
