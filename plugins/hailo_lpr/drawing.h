// The pictures that go with an event.
#pragma once

#include <string>
#include <vector>

#include "opencv2/core.hpp"
#include "plugins/hailo_lpr/analyser.h"

namespace viaduct::hailo_lpr {

// The picture of a plate with a little around it, in colour where the picture has it; its own
// memory. Empty where the box lies outside.
cv::Mat CropPlate(const cv::Mat& picture, const Box& box);

// A copy with boxes, at most so wide.
cv::Mat Annotate(const cv::Mat& picture, const std::vector<Vehicle>& vehicles,
                 const std::vector<Box>& plates, int most_width);

// How much of a plate can be seen: sharp and large is better. Of the same plate only.
float QualityOf(const cv::Mat& crop);

}  // namespace viaduct::hailo_lpr
