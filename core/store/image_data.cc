#include "core/store/image_data.h"

#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

constexpr size_t kMaxJpegSegments = 4096;
constexpr size_t kMaxPngChunks = 1u << 20;

uint8_t ByteAt(std::string_view data, size_t at) { return static_cast<uint8_t>(data[at]); }

size_t BigEndian(std::string_view data, size_t at, int octets) {
  size_t value = 0;
  for (int i = 0; i < octets; ++i) value = value << 8 | ByteAt(data, at + static_cast<size_t>(i));
  return value;
}

bool IsStartOfFrame(uint8_t marker) {
  return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

// Segments up to the first scan, with a frame header among them, and an end of image behind it.
bool IsJpeg(std::string_view data) {
  if (data.size() < 4 || BigEndian(data, 0, 2) != 0xffd8) return false;
  size_t at = 2;
  bool frame = false;
  for (size_t segments = 0; segments < kMaxJpegSegments && at + 4 <= data.size(); ++segments) {
    if (ByteAt(data, at) != 0xff) return false;
    const uint8_t marker = ByteAt(data, at + 1);
    if (marker == 0xff) {  // Fill byte.
      ++at;
      continue;
    }
    if (marker == 0xd9 || marker == 0x00) return false;
    if (marker == 0xda) return frame && data.find("\xff\xd9", at) != std::string_view::npos;
    frame = frame || IsStartOfFrame(marker);
    const size_t length = BigEndian(data, at + 2, 2);
    if (length < 2) return false;
    at += 2 + length;
  }
  return false;
}

bool IsPng(std::string_view data) {
  constexpr std::string_view kSignature("\x89PNG\r\n\x1a\n", 8);
  if (data.substr(0, 8) != kSignature) return false;
  size_t at = 8;
  for (size_t chunks = 0; chunks < kMaxPngChunks && at + 12 <= data.size(); ++chunks) {
    const size_t length = BigEndian(data, at, 4);
    const std::string_view type = data.substr(at + 4, 4);
    if (chunks == 0 && (type != "IHDR" || length != 13)) return false;
    if (length > data.size() - at - 12) return false;
    if (type == "IEND") return true;
    at += 12 + length;
  }
  return false;
}

bool IsWebp(std::string_view data) {
  if (data.size() < 20 || data.substr(0, 4) != "RIFF" || data.substr(8, 4) != "WEBP") return false;
  size_t length = 0;  // Little-endian.
  for (size_t i = 0; i < 4; ++i) length |= size_t{ByteAt(data, 4 + i)} << (8 * i);
  const std::string_view chunk = data.substr(12, 4);
  return length >= 12 && length <= data.size() - 8 &&
         (chunk == "VP8 " || chunk == "VP8L" || chunk == "VP8X");
}

// The part of a data URL behind "base64,"; other text as it is.
absl::StatusOr<std::string_view> StripDataUrl(std::string_view text) {
  if (!absl::StartsWithIgnoreCase(AbslView(text.substr(0, 5)), "data:")) return text;
  const size_t comma = text.find(',');
  if (comma == std::string_view::npos ||
      !absl::EndsWithIgnoreCase(AbslView(text.substr(0, comma)), ";base64")) {
    return absl::InvalidArgumentError("a data URL without base64 data");
  }
  return text.substr(comma + 1);
}

}  // namespace

std::string_view RecognizeImage(std::string_view bytes) {
  if (IsJpeg(bytes)) return ".jpg";
  if (IsPng(bytes)) return ".png";
  if (IsWebp(bytes)) return ".webp";
  return {};
}

absl::StatusOr<Image> DecodeImage(std::string_view text, size_t max_bytes) {
  absl::StatusOr<std::string_view> data = StripDataUrl(text);
  if (!data.ok()) return data.status();
  if (data->empty()) return absl::InvalidArgumentError("empty");
  // Line breaks make it longer, at most one in 64 characters or so.
  if (data->size() / 4 * 3 > max_bytes + max_bytes / 16 + 4) {
    return absl::ResourceExhaustedError(
        absl::StrCat("too large, ", data->size() / 4 * 3, " bytes, limit ", max_bytes));
  }
  Image image;
  if (!absl::Base64Unescape(AbslView(*data), &image.bytes)) {
    return absl::InvalidArgumentError("not base64");
  }
  if (image.bytes.size() > max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("too large, ", image.bytes.size(), " bytes, limit ", max_bytes));
  }
  image.extension = RecognizeImage(image.bytes);
  if (image.extension.empty()) {
    return absl::InvalidArgumentError("neither a whole JPEG nor PNG nor WebP");
  }
  return image;
}

std::string_view ImageContentType(std::string_view path) {
  const absl::string_view name = AbslView(path);
  if (absl::EndsWith(name, ".jpg")) return "image/jpeg";
  if (absl::EndsWith(name, ".png")) return "image/png";
  if (absl::EndsWith(name, ".webp")) return "image/webp";
  return {};
}

}  // namespace viaduct
