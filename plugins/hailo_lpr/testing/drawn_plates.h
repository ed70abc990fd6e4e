// Pictures and videos of plates, drawn: simple ones that the reader is sure of, for what comes
// before and behind it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "opencv2/core.hpp"

namespace viaduct::hailo_lpr::testing {

// A plate by itself, in colour, as high as its text wants.
cv::Mat DrawPlate(const std::string& text, int width);

// A street of one colour with a car around each plate; `at` is the middle of the plate.
struct DrawnCar {
  std::string text;
  cv::Point at;
  int plate_width = 180;
};
cv::Mat DrawStreet(cv::Size size, const std::vector<DrawnCar>& cars);

// Cars that drive by one after the other, from the top to the bottom, so many pictures each and so
// many of an empty street between them, without it as many. Every fourth picture of a car has
// another text, one character off: what a reader makes of a bad moment.
std::vector<cv::Mat> DrawPasses(cv::Size size, const std::vector<std::string>& texts,
                                int pictures_each, std::optional<int> empty_each = std::nullopt);

}  // namespace viaduct::hailo_lpr::testing
