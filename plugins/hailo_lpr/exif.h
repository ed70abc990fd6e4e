// What a camera wrote beside its picture.
#pragma once

#include <optional>
#include <string_view>

#include "absl/time/time.h"

namespace viaduct::hailo_lpr {

struct Exif {
  int orientation = 1;  // 1 to 8; 1: upright.
  std::optional<absl::Time> taken;
};

// `segment` begins with "Exif\0\0". `zone`: of a time that says none. What makes no sense is left
// out.
Exif ReadExif(std::string_view segment, absl::TimeZone zone);

}  // namespace viaduct::hailo_lpr
