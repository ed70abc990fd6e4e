#include "plugins/hailo_lpr/picture.h"

#include <png.h>

#include <algorithm>
#include <new>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "opencv2/imgproc.hpp"
#include "plugins/hailo_lpr/exif.h"
#include "plugins/hailo_lpr/jpeg_decoder.h"

namespace viaduct::hailo_lpr {
namespace {

constexpr std::string_view kJpegStart = "\xff\xd8";
constexpr std::string_view kPngStart = "\x89PNG\r\n\x1a\n";

bool StartsWith(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

absl::Status Broken(std::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("picture: ", absl::string_view(what.data(), what.size())));
}

// The eight ways in which a camera may have been held (EXIF): what turns each upright.
cv::Mat Upright(const cv::Mat& pixels, int orientation) {
  constexpr int kBoth = -1;  // cv::flip: 0 about x, 1 about y, -1 about both.
  constexpr int kNoFlip = 2;
  struct Way {
    bool transpose;
    int flip;
  };
  constexpr Way kWays[] = {{false, kNoFlip}, {false, 1}, {false, kBoth}, {false, 0},
                           {true, kNoFlip},  {true, 1},  {true, kBoth},  {true, 0}};
  if (orientation < 2 || orientation > 8) return pixels;
  const Way way = kWays[orientation - 1];
  cv::Mat out = pixels;
  if (way.transpose) cv::transpose(pixels, out);
  cv::Mat flipped;
  if (way.flip == kNoFlip) return out;
  cv::flip(out, flipped, way.flip);
  return flipped;
}

absl::StatusOr<Picture> DecodeJpeg(std::string_view octets, const PictureLimits& limits,
                                   absl::TimeZone zone) {
  JpegDecoder decoder(limits.max_scans);
  if (!decoder.ReadHeader(octets)) return Broken(decoder.Why());
  const absl::Status fits = CheckPictureSize(decoder.width(), decoder.height(), limits);
  if (!fits.ok()) return fits;
  Picture picture;
  const Exif exif = ReadExif(decoder.exif(), zone);
  if (!decoder.Decode(&picture.pixels)) return Broken(decoder.Why());
  picture.taken = exif.taken;
  picture.pixels = Upright(picture.pixels, exif.orientation);
  return picture;
}

// Whatever it has, 16 bits, a palette, transparency: libpng makes 8 bits of it.
absl::StatusOr<Picture> DecodePng(std::string_view octets, const PictureLimits& limits) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_memory(&png, octets.data(), octets.size()) == 0) {
    return Broken(absl::StrCat("no PNG, ", png.message));
  }
  const absl::Status fits = CheckPictureSize(png.width, png.height, limits);
  if (!fits.ok()) {
    png_image_free(&png);
    return fits;
  }
  png.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;  // As other programs see them.
  const bool grey = (png.format & PNG_FORMAT_FLAG_COLOR) == 0;
  png.format = grey ? PNG_FORMAT_GRAY : PNG_FORMAT_BGR;
  Picture picture;
  picture.pixels.create(static_cast<int>(png.height), static_cast<int>(png.width),
                        grey ? CV_8UC1 : CV_8UC3);
  const png_color background = {255, 255, 255};
  if (png_image_finish_read(&png, &background, picture.pixels.data,
                            static_cast<png_int_32>(picture.pixels.step), nullptr) == 0) {
    return Broken(absl::StrCat("a broken PNG, ", png.message));
  }
  return picture;
}

}  // namespace

absl::Status CheckPictureSize(int64_t width, int64_t height, const PictureLimits& limits) {
  if (width < 1 || height < 1) return Broken(absl::StrCat("is empty, ", width, "x", height));
  if (width > limits.max_side || height > limits.max_side) {
    return Broken(absl::StrCat("too large, ", width, "x", height, ", a side has at most ",
                               limits.max_side, " pixels"));
  }
  if (width * height > limits.max_pixels) {
    return Broken(
        absl::StrCat("too large, ", width, "x", height, ", max_pixels is ", limits.max_pixels));
  }
  return absl::OkStatus();
}

absl::StatusOr<Picture> DecodePicture(std::string_view octets, const PictureLimits& limits,
                                      absl::TimeZone zone) {
  if (octets.empty()) return Broken("has no octets");
  if (octets.size() > limits.max_bytes) {
    return Broken(absl::StrCat("too large, ", octets.size(), " octets, limit ", limits.max_bytes));
  }
  try {
    if (StartsWith(octets, kJpegStart)) return DecodeJpeg(octets, limits, zone);
    if (StartsWith(octets, kPngStart)) return DecodePng(octets, limits);
  } catch (const cv::Exception& error) {
    const std::string what = absl::StrCat("picture: ", error.err);
    return error.code == cv::Error::StsNoMem ? absl::ResourceExhaustedError(what)
                                             : absl::InternalError(what);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("picture: no memory for it");
  }
  return Broken("neither JPEG nor PNG");
}

std::string EncodeJpeg(const cv::Mat& pixels, int quality) {
  std::string out;
  WriteJpeg(pixels, quality, &out);
  return out;
}

}  // namespace viaduct::hailo_lpr
