#include "plugins/hailo_lpr/frame_picture.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "opencv2/imgproc.hpp"

namespace viaduct::hailo_lpr {
namespace {

constexpr uint32_t FourCc(const char (&name)[5]) {
  uint32_t code = 0;
  for (int i = 3; i >= 0; --i) code = code << 8 | static_cast<unsigned char>(name[i]);
  return code;
}

constexpr uint32_t kJpeg = FourCc("JPEG");
constexpr uint32_t kPng = FourCc("PNG ");
constexpr int kNoConversion = -1;
constexpr uint64_t kMaxStride = 1u << 20;

// How the octets of a format lie. The names of DRM read a pixel as a number, low octet first: RG24
// has blue in front.
struct Format {
  uint32_t fourcc;
  int channels;       // Of the first plane, octets a pixel.
  int chroma_planes;  // Behind it: 1 of both in turns, 2 of one each, half as wide and high.
  int conversion;     // To BGR.
};
constexpr Format kFormats[] = {
    {FourCc("R8  "), 1, 0, kNoConversion},          {FourCc("GREY"), 1, 0, kNoConversion},
    {FourCc("RG24"), 3, 0, kNoConversion},          {FourCc("BG24"), 3, 0, cv::COLOR_RGB2BGR},
    {FourCc("XR24"), 4, 0, cv::COLOR_BGRA2BGR},     {FourCc("AR24"), 4, 0, cv::COLOR_BGRA2BGR},
    {FourCc("XB24"), 4, 0, cv::COLOR_RGBA2BGR},     {FourCc("AB24"), 4, 0, cv::COLOR_RGBA2BGR},
    {FourCc("YUYV"), 2, 0, cv::COLOR_YUV2BGR_YUYV}, {FourCc("UYVY"), 2, 0, cv::COLOR_YUV2BGR_UYVY},
    {FourCc("NV12"), 1, 1, cv::COLOR_YUV2BGR_NV12}, {FourCc("NV21"), 1, 1, cv::COLOR_YUV2BGR_NV21},
    {FourCc("YU12"), 1, 2, cv::COLOR_YUV2BGR_I420}, {FourCc("YV12"), 1, 2, cv::COLOR_YUV2BGR_YV12},
};

const Format* FormatOf(uint32_t fourcc) {
  const auto* end = std::end(kFormats);
  const auto* found = std::find_if(std::begin(kFormats), end,
                                   [fourcc](const Format& one) { return one.fourcc == fourcc; });
  return found == end ? nullptr : found;
}

absl::Status Wrong(const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("frame: ", what));
}

std::string NameOf(uint32_t fourcc) {
  std::string name;
  for (int shift = 0; shift < 32; shift += 8) {
    const auto letter = static_cast<unsigned char>(fourcc >> shift & 0xff);
    name += absl::ascii_isprint(letter) ? static_cast<char>(letter) : '?';
  }
  return name;
}

struct PlaneSize {
  uint64_t row;  // Octets.
  uint64_t rows;
};

// Of the plane with that number in the layout that the format has.
PlaneSize SizeOf(const Format& format, const FrameForm& form, size_t plane) {
  if (plane == 0)
    return {uint64_t{form.width} * static_cast<uint64_t>(format.channels), form.height};
  const uint64_t width = format.chroma_planes == 1 ? form.width : form.width / 2;
  return {width, form.height / 2};
}

size_t PlanesOf(const Format& format) { return 1 + static_cast<size_t>(format.chroma_planes); }

// All planes of a frame that came as one lie one after the other in it.
FramePlane PlaneOf(const Format& format, const FrameForm& form, size_t plane) {
  if (plane < form.plane_count) return form.planes[plane];
  FramePlane last = form.planes[0];
  uint64_t stride = last.stride != 0 ? last.stride : SizeOf(format, form, 0).row;
  last.offset += stride * form.height;
  if (format.chroma_planes == 2) stride /= 2;
  if (plane == 2) last.offset += stride * (form.height / 2);
  last.stride = static_cast<uint32_t>(stride);
  last.size = stride * (form.height / 2);
  return last;
}

bool Within(const FramePlane& plane, uint64_t octets) {
  return plane.offset <= octets && plane.size <= octets - plane.offset;
}

absl::Status CheckPlane(const Format& format, const FrameForm& form, size_t number,
                        uint64_t octets) {
  const FramePlane plane = PlaneOf(format, form, number);
  const PlaneSize size = SizeOf(format, form, number);
  const uint64_t stride = plane.stride != 0 ? plane.stride : size.row;
  if (stride < size.row || stride > kMaxStride) {
    return Wrong(absl::StrCat("plane ", number, " has a stride of ", plane.stride, ", a row has ",
                              size.row, " octets"));
  }
  // Behind the last row there need not be a gap.
  const uint64_t wanted = stride * (size.rows - 1) + size.row;
  if (!Within(plane, octets) || plane.size < wanted) {
    return Wrong(absl::StrCat("plane ", number, " of ", plane.size, " octets at ", plane.offset,
                              ", ", wanted, " wanted, the buffer has ", octets));
  }
  return absl::OkStatus();
}

cv::Mat MatOf(std::string_view octets, const FramePlane& plane, const PlaneSize& size,
              int channels) {
  const char* begin = octets.data() + plane.offset;
  const size_t stride = plane.stride != 0 ? plane.stride : size.row;
  // OpenCV has no Mat to read only; nobody writes into it.
  return {static_cast<int>(size.rows), static_cast<int>(size.row) / channels, CV_8UC(channels),
          const_cast<char*>(begin), stride};  // NOLINT(cppcoreguidelines-pro-type-const-cast)
}

// OpenCV wants all planes below each other in one picture without gaps.
cv::Mat JoinPlanes(const Format& format, const FrameForm& form, std::string_view octets) {
  const int width = static_cast<int>(form.width);
  const int height = static_cast<int>(form.height);
  cv::Mat all(height * 3 / 2, width, CV_8UC1);
  uint8_t* at = all.data;
  for (size_t i = 0; i < PlanesOf(format); ++i) {
    const PlaneSize size = SizeOf(format, form, i);
    const cv::Mat plane = MatOf(octets, PlaneOf(format, form, i), size, 1);
    cv::Mat place(plane.size(), CV_8UC1, at);
    plane.copyTo(place);
    at += plane.total();
  }
  return all;
}

}  // namespace

bool IsCompressed(const FrameForm& form) { return form.fourcc == kJpeg || form.fourcc == kPng; }

absl::Status CheckFrame(const FrameForm& form, uint64_t octets, const PictureLimits& limits) {
  if (form.plane_count == 0 || form.plane_count > FrameForm::kMostPlanes) {
    return Wrong(absl::StrCat("has ", form.plane_count, " planes"));
  }
  if (IsCompressed(form)) {
    if (Within(form.planes[0], octets)) return absl::OkStatus();
    return Wrong(absl::StrCat("its ", form.planes[0].size, " octets at ", form.planes[0].offset,
                              " are not in the buffer of ", octets));
  }
  const Format* format = FormatOf(form.fourcc);
  if (format == nullptr) return Wrong(absl::StrCat("unknown format ", NameOf(form.fourcc)));
  if (form.modifier != 0) return Wrong("its pixels are tiled, only linear ones are read");
  const absl::Status fits = CheckPictureSize(form.width, form.height, limits);
  if (!fits.ok()) return fits;
  const bool halves = format->chroma_planes > 0;
  if ((format->channels == 2 || halves) && form.width % 2 != 0) return Wrong("an odd width");
  if (halves && form.height % 2 != 0) return Wrong("an odd height");
  if (form.plane_count != 1 && form.plane_count != PlanesOf(*format)) {
    return Wrong(absl::StrCat("has ", form.plane_count, " planes"));
  }
  const FramePlane& first = form.planes[0];
  if (form.plane_count == 1 && !Within(first, octets)) {
    return Wrong(absl::StrCat("its plane of ", first.size, " octets at ", first.offset,
                              " is not in the buffer of ", octets));
  }
  for (size_t i = 0; i < PlanesOf(*format); ++i) {
    const absl::Status good = CheckPlane(*format, form, i, octets);
    if (!good.ok()) return good;
  }
  return absl::OkStatus();
}

absl::StatusOr<cv::Mat> ReadFrame(const FrameForm& form, std::string_view octets) {
  const Format* format = FormatOf(form.fourcc);
  if (format == nullptr) return Wrong(absl::StrCat("unknown format ", NameOf(form.fourcc)));
  try {
    cv::Mat pixels = format->chroma_planes > 0 ? JoinPlanes(*format, form, octets)
                                               : MatOf(octets, form.planes[0],
                                                       SizeOf(*format, form, 0), format->channels);
    if (format->conversion == kNoConversion) return pixels.clone();
    cv::Mat converted;
    cv::cvtColor(pixels, converted, format->conversion);
    return converted;
  } catch (const cv::Exception& error) {
    return absl::ResourceExhaustedError(absl::StrCat("frame: ", error.err));
  }
}

}  // namespace viaduct::hailo_lpr
