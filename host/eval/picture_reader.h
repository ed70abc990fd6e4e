// Who reads the pictures of an evaluation.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace viaduct::eval {

inline constexpr size_t kMaxPictureBytes = 64u << 20;

// Gives a picture away and gets the JSON text of its result.
class PictureReader {
 public:
  virtual ~PictureReader() = default;
  // INVALID_ARGUMENT: no picture that it can read; UNAVAILABLE: it does not answer any more.
  virtual absl::StatusOr<std::string> Read(std::string_view picture) = 0;
};

// The FourCC, "JPEG" or "PNG ", by the first octets. INVALID_ARGUMENT: neither.
absl::StatusOr<std::string> PictureFormat(std::string_view picture);

}  // namespace viaduct::eval
