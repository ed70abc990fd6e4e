// Files of pictures as they come, well-made or not.
#pragma once

#include <string>
#include <vector>

#include "opencv2/core.hpp"

namespace viaduct::hailo_lpr::testing {

std::string JpegOf(const cv::Mat& pixels);
std::string PngOf(const cv::Mat& pixels);
// Of four inks, as printers want it.
std::string CmykJpegOf(const cv::Mat& bgr);
// A JPEG with an EXIF segment; an orientation of 0 or a text of "" is left out.
std::string WithExif(const std::string& jpeg, int orientation, const std::string& taken,
                     const std::string& offset);
// A JPEG whose header claims another size.
std::string WithClaimedSize(std::string jpeg, int width, int height);

}  // namespace viaduct::hailo_lpr::testing
