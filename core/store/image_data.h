// Image data as peers send it: text in, checked bytes out.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace viaduct {

struct Image {
  std::string bytes;
  std::string_view extension;  // ".jpg", ".png", ".webp"
};

// Base64 (with or without padding and line breaks) or a data URL of a JPEG, PNG or WebP.
// INVALID_ARGUMENT says what is wrong; RESOURCE_EXHAUSTED when it is larger than `max_bytes`. The
// structure of the file is walked from its header to its end; pixels are not decoded.
absl::StatusOr<Image> DecodeImage(std::string_view text, size_t max_bytes);

// ".jpg", ".png" or ".webp" for a whole file of that kind; "" for anything else.
std::string_view RecognizeImage(std::string_view bytes);

// "image/jpeg", "image/png" or "image/webp" for the name of a file; "" for any other.
std::string_view ImageContentType(std::string_view path);

}  // namespace viaduct
