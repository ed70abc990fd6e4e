// From the octets of a picture to its pixels, and back: JPEG and PNG, whoever made them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "opencv2/core.hpp"

namespace viaduct::hailo_lpr {

// Looked at before anything is decoded: they bound the memory that a picture takes.
struct PictureLimits {
  int64_t max_pixels = 9'000'000;  // 3840x2160 and a little more.
  int max_side = 16'384;
  int max_scans = 100;  // Of a progressive JPEG: each costs as much time as the whole picture.
  size_t max_bytes = 64u << 20;
};

// INVALID_ARGUMENT: larger than the limits.
absl::Status CheckPictureSize(int64_t width, int64_t height, const PictureLimits& limits);

struct Picture {
  cv::Mat pixels;  // 8 bits, grey or BGR, upright.
  // What the camera wrote into it (EXIF): when the light fell in.
  std::optional<absl::Time> taken;
};

// `zone`: of times without one. INVALID_ARGUMENT: no JPEG or PNG, broken, cut short or over the
// limits; RESOURCE_EXHAUSTED: no memory for it.
absl::StatusOr<Picture> DecodePicture(std::string_view octets, const PictureLimits& limits,
                                      absl::TimeZone zone);

// `pixels` have 8 bits, grey or BGR, and fit into a JPEG (65,500 pixels a side).
std::string EncodeJpeg(const cv::Mat& pixels, int quality);

}  // namespace viaduct::hailo_lpr
