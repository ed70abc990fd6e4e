// Pictures that come from outside, checked before a plugin sees them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/plugin/frames.h"

namespace viaduct {

struct PictureFacts {
  std::string format = "JPEG";  // DRM FourCC; shorter ones are filled up with blanks.
  uint32_t width = 0;           // Pixels; 0 for a compressed picture.
  uint32_t height = 0;
  std::vector<vd_plane> planes;  // None: one, all of the octets, rows without gaps.
};

inline constexpr size_t kMaxPictureBytes = 31u << 20;  // A message of the node's gRPC has 32 MiB.
inline constexpr uint64_t kMaxPicturePixels = 50'000'000;

// A frame with a copy of `octets`. Of a JPEG the size comes from its header, and what is said of it
// must agree; of the formats that are known here every row of every plane is inside the octets; of
// others the planes are. INVALID_ARGUMENT "<field>: <what>"; RESOURCE_EXHAUSTED: no memory.
absl::StatusOr<Frame> MakePicture(const PictureFacts& facts, std::string_view octets);

}  // namespace viaduct
