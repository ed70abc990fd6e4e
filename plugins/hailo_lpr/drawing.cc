#include "plugins/hailo_lpr/drawing.h"

#include <algorithm>
#include <cmath>

#include "opencv2/imgproc.hpp"

namespace viaduct::hailo_lpr {
namespace {

constexpr float kCropMargin = 0.15F;  // Of the height of the plate.
const cv::Scalar kVehicleColour(255, 160, 0);
const cv::Scalar kPlateColour(0, 220, 0);

cv::Rect RectOf(const Box& box, float margin, double scale) {
  const auto at = [scale](float value) {
    return static_cast<int>(std::lround(static_cast<double>(value) * scale));
  };
  return {cv::Point(at(box.left - margin), at(box.top - margin)),
          cv::Point(at(box.right + margin), at(box.bottom + margin))};
}

}  // namespace

cv::Mat CropPlate(const cv::Mat& picture, const Box& box) {
  const cv::Rect rect =
      RectOf(box, kCropMargin * box.height(), 1) & cv::Rect(cv::Point(), picture.size());
  return rect.empty() ? cv::Mat() : picture(rect).clone();
}

cv::Mat Annotate(const cv::Mat& picture, const std::vector<Vehicle>& vehicles,
                 const std::vector<Box>& plates, int most_width) {
  cv::Mat out;
  const double scale = std::min(1.0, static_cast<double>(most_width) / picture.cols);
  if (scale < 1) {
    cv::resize(picture, out, cv::Size(), scale, scale, cv::INTER_AREA);
  } else {
    out = picture.clone();
  }
  if (out.channels() == 1) cv::cvtColor(out, out, cv::COLOR_GRAY2BGR);
  const int thickness = std::max(1, out.cols / 640);
  for (const Vehicle& vehicle : vehicles) {
    cv::rectangle(out, RectOf(vehicle.box, 0, scale), kVehicleColour, thickness);
  }
  for (const Box& plate : plates) {
    cv::rectangle(out, RectOf(plate, 0, scale), kPlateColour, thickness);
  }
  return out;
}

float QualityOf(const cv::Mat& crop) {
  if (crop.empty()) return 0;
  cv::Mat grey;
  if (crop.channels() == 3) {
    cv::cvtColor(crop, grey, cv::COLOR_BGR2GRAY);
  } else {
    grey = crop;
  }
  cv::Mat edges;
  cv::Laplacian(grey, edges, CV_16S);
  cv::Scalar mean;
  cv::Scalar deviation;
  cv::meanStdDev(edges, mean, deviation);
  return static_cast<float>(std::log1p(deviation[0]) * std::sqrt(crop.total()));
}

}  // namespace viaduct::hailo_lpr
