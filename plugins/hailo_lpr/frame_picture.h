// Pixels of a raw frame, as cameras and other plugins give them: planes in one block of memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "opencv2/core.hpp"
#include "plugins/hailo_lpr/picture.h"

namespace viaduct::hailo_lpr {

struct FramePlane {
  uint64_t offset = 0;
  uint64_t size = 0;
  uint32_t stride = 0;  // Octets a row; 0: no gap between rows.
};

struct FrameForm {
  static constexpr size_t kMostPlanes = 4;

  uint32_t fourcc = 0;  // Of DRM; "JPEG" and "PNG " for what is compressed.
  uint32_t width = 0;
  uint32_t height = 0;
  uint64_t modifier = 0;  // 0: linear.
  size_t plane_count = 0;
  std::array<FramePlane, kMostPlanes> planes;
};

// JPEG or PNG: its octets are those of the first plane.
bool IsCompressed(const FrameForm& form);

// INVALID_ARGUMENT: a format that can not be read, planes that do not lie within `octets`, or a
// size over the limits. Of what is compressed only the plane is looked at.
absl::Status CheckFrame(const FrameForm& form, uint64_t octets, const PictureLimits& limits);

// Grey or BGR, with memory of its own. `form` has been checked and is not compressed.
absl::StatusOr<cv::Mat> ReadFrame(const FrameForm& form, std::string_view octets);

}  // namespace viaduct::hailo_lpr
