#include "plugins/hailo_lpr/testing/drawn_plates.h"

#include <algorithm>

#include "opencv2/imgproc.hpp"

namespace viaduct::hailo_lpr::testing {
namespace {

constexpr int kFont = cv::FONT_HERSHEY_SIMPLEX;
const cv::Scalar kPlate = cv::Scalar::all(225);
const cv::Scalar kInk = cv::Scalar::all(25);
const cv::Scalar kStreet(120, 125, 118);
const cv::Scalar kCar(70, 60, 150);
constexpr int kDrawnHeight = 96;  // Then made smaller.
constexpr int kWrongEvery = 4;

}  // namespace

cv::Mat DrawPlate(const std::string& text, int width) {
  const int height = kDrawnHeight;
  const int thickness = height / 9;
  const double scale = height * 0.6 / 22;
  int at = height / 2;
  cv::Mat wide(height, height * static_cast<int>(text.size() + 2), CV_8UC3, kPlate);
  for (const char character : text) {
    const std::string one(1, character);
    int base = 0;
    const cv::Size extent = cv::getTextSize(one, kFont, scale, thickness, &base);
    // Each by itself: none touches another.
    cv::putText(wide, one, cv::Point(at, (height + extent.height) / 2), kFont, scale, kInk,
                thickness, cv::LINE_AA);
    at += character == ' ' ? height / 4 : extent.width + height / 16;
  }
  const cv::Mat drawn = wide.colRange(0, at + height / 2);
  cv::Mat plate;
  cv::resize(drawn, plate, cv::Size(width, width * height / drawn.cols), 0, 0, cv::INTER_AREA);
  return plate;
}

cv::Mat DrawStreet(cv::Size size, const std::vector<DrawnCar>& cars) {
  cv::Mat street(size, CV_8UC3, kStreet);
  const cv::Rect whole(cv::Point(), size);
  for (const DrawnCar& car : cars) {
    const cv::Mat plate = DrawPlate(car.text, car.plate_width);
    const cv::Size plate_size = plate.size();
    const cv::Point corner(car.at.x - plate_size.width / 2, car.at.y - plate_size.height / 2);
    const cv::Rect place(corner, plate_size);
    const cv::Rect body(corner.x - plate_size.width / 2, corner.y - plate_size.width,
                        2 * plate_size.width, plate_size.width + 2 * plate_size.height);
    cv::rectangle(street, body & whole, kCar, cv::FILLED);
    if ((place & whole) == place) plate.copyTo(street(place));
  }
  return street;
}

std::vector<cv::Mat> DrawPasses(cv::Size size, const std::vector<std::string>& texts,
                                int pictures_each, std::optional<int> empty_each) {
  std::vector<cv::Mat> pictures;
  const int width = std::min(180, size.width / 3);
  for (const std::string& text : texts) {
    for (int i = 0; i < pictures_each; ++i) {
      DrawnCar car;
      car.text = text;
      if (i % kWrongEvery == kWrongEvery - 1) car.text.back() = text.back() == '7' ? '2' : '7';
      car.plate_width = width;
      car.at = {size.width / 2, size.height / 4 + (size.height / 2) * i / pictures_each};
      pictures.push_back(DrawStreet(size, {car}));
    }
    const int empty = empty_each.value_or(pictures_each);
    for (int i = 0; i < empty; ++i) pictures.push_back(DrawStreet(size, {}));
  }
  return pictures;
}

}  // namespace viaduct::hailo_lpr::testing
