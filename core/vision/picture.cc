#include "core/vision/picture.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/thumbnail.h"
#include "core/message/json_scanner.h"

namespace viaduct {
namespace {

constexpr size_t kFourccLetters = 4;

// How large one plane of a raw format is: `octets` for each `across` x `down` pixels.
struct PlaneShape {
  uint32_t octets;
  uint32_t across;
  uint32_t down;
};
struct RawFormat {
  std::string_view name;
  size_t count;
  std::array<PlaneShape, 3> planes;
};

// The formats of cameras and decoders; drm_fourcc.h has them all.
constexpr RawFormat kFormats[] = {{"NV12", 2, {{{1, 1, 1}, {2, 2, 2}}}},
                                  {"NV21", 2, {{{1, 1, 1}, {2, 2, 2}}}},
                                  {"YU12", 3, {{{1, 1, 1}, {1, 2, 2}, {1, 2, 2}}}},
                                  {"YUYV", 1, {{{4, 2, 1}}}},
                                  {"UYVY", 1, {{{4, 2, 1}}}},
                                  {"RG24", 1, {{{3, 1, 1}}}},
                                  {"BG24", 1, {{{3, 1, 1}}}},
                                  {"XR24", 1, {{{4, 1, 1}}}},
                                  {"AR24", 1, {{{4, 1, 1}}}},
                                  {"XB24", 1, {{{4, 1, 1}}}},
                                  {"AB24", 1, {{{4, 1, 1}}}},
                                  {"R8  ", 1, {{{1, 1, 1}}}},
                                  {"GREY", 1, {{{1, 1, 1}}}}};

const RawFormat* FindFormat(std::string_view name) {
  for (const RawFormat& format : kFormats) {
    if (format.name == name) return &format;
  }
  return nullptr;
}

absl::Status Wrong(std::string_view field, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(AbslView(field), ": ", what));
}

uint64_t RowOctets(const PlaneShape& shape, uint32_t width) {
  return uint64_t{(width + shape.across - 1) / shape.across} * shape.octets;
}

uint64_t Rows(const PlaneShape& shape, uint32_t height) {
  return (height + shape.down - 1) / shape.down;
}

absl::Status CheckSides(uint32_t width, uint32_t height) {
  if (width == 0 || height == 0) {
    return Wrong("width", absl::StrCat("both sides are needed, ", width, " x ", height));
  }
  if (width > kMaxFrameSide || height > kMaxFrameSide) {
    return Wrong("width", absl::StrCat("too large, ", width, " x ", height, ", at most ",
                                       kMaxFrameSide, " each"));
  }
  if (uint64_t{width} * height > kMaxPicturePixels) {
    return Wrong("width", absl::StrCat("too many pixels, ", width, " x ", height, ", at most ",
                                       kMaxPicturePixels));
  }
  return absl::OkStatus();
}

absl::StatusOr<JpegSize> SizeOfJpeg(const PictureFacts& facts, std::string_view octets) {
  if (facts.planes.size() > 1) return Wrong("planes", "a JPEG has one");
  std::string_view inside = octets;
  if (!facts.planes.empty()) inside = octets.substr(facts.planes[0].offset, facts.planes[0].size);
  const absl::StatusOr<JpegSize> size = ReadJpegSize(inside);
  if (!size.ok()) return Wrong("data", std::string(size.status().message()));
  VD_RETURN_IF_ERROR(CheckSides(size->width, size->height));
  const bool agrees = (facts.width == 0 || facts.width == size->width) &&
                      (facts.height == 0 || facts.height == size->height);
  if (agrees) return *size;
  return Wrong("width", absl::StrCat("the JPEG has ", size->width, " x ", size->height));
}

// Planes one after the other without gaps, as they are where nothing is said.
std::vector<vd_plane> PackedPlanes(const RawFormat& format, const PictureFacts& facts) {
  std::vector<vd_plane> planes;
  uint64_t offset = 0;
  for (size_t i = 0; i < format.count; ++i) {
    const PlaneShape& shape = format.planes[i];
    const uint64_t row = RowOctets(shape, facts.width);
    planes.push_back({offset, row * Rows(shape, facts.height), static_cast<uint32_t>(row), 0});
    offset += planes.back().size;
  }
  return planes;
}

absl::Status CheckRows(const RawFormat& format, const PictureFacts& facts,
                       const std::vector<vd_plane>& planes) {
  if (planes.size() != format.count) {
    return Wrong("planes", absl::StrCat(AbslView(format.name), " has ", format.count, ", not ",
                                        planes.size()));
  }
  for (size_t i = 0; i < planes.size(); ++i) {
    const uint64_t row = RowOctets(format.planes[i], facts.width);
    const uint64_t rows = Rows(format.planes[i], facts.height);
    const std::string field = absl::StrCat("planes[", i, "]");
    if (planes[i].stride < row) {
      return Wrong(field, absl::StrCat("a row has ", row, " octets, stride ", planes[i].stride));
    }
    const uint64_t needed = uint64_t{planes[i].stride} * (rows - 1) + row;
    if (planes[i].size < needed) {
      return Wrong(field, absl::StrCat("needs ", needed, " octets, has ", planes[i].size));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckInside(const std::vector<vd_plane>& planes, size_t octets) {
  if (planes.size() > VD_MAX_PLANES) {
    return Wrong("planes", absl::StrCat("too many, ", planes.size(), ", at most ", VD_MAX_PLANES));
  }
  for (size_t i = 0; i < planes.size(); ++i) {
    if (planes[i].offset <= octets && planes[i].size <= octets - planes[i].offset) continue;
    return Wrong(absl::StrCat("planes[", i, "]"),
                 absl::StrCat("outside of the ", octets, " octets, offset ", planes[i].offset,
                              ", size ", planes[i].size));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Frame> MakePicture(const PictureFacts& facts, std::string_view octets) {
  std::string name = facts.format;
  name.resize(std::max(name.size(), kFourccLetters), ' ');
  const bool letters =
      std::all_of(name.begin(), name.end(), [](unsigned char c) { return c >= 0x20 && c < 0x7f; });
  if (name.size() != kFourccLetters || !letters || facts.format.empty()) {
    return Wrong("format", absl::StrCat("not a FourCC, ", ShownText(facts.format)));
  }
  if (octets.empty()) return Wrong("data", "empty");
  if (octets.size() > kMaxPictureBytes) {
    return Wrong("data", absl::StrCat(octets.size(), " octets, at most ", kMaxPictureBytes));
  }
  VD_RETURN_IF_ERROR(CheckInside(facts.planes, octets.size()));
  const uint32_t fourcc = VD_FOURCC(static_cast<uint32_t>(name[0]), static_cast<uint32_t>(name[1]),
                                    static_cast<uint32_t>(name[2]), static_cast<uint32_t>(name[3]));
  JpegSize size{facts.width, facts.height};
  std::vector<vd_plane> planes = facts.planes;
  const RawFormat* const format = FindFormat(name);
  if (fourcc == VD_FOURCC_JPEG) {
    VD_ASSIGN_OR_RETURN(size, SizeOfJpeg(facts, octets));
  } else if (format != nullptr) {
    VD_RETURN_IF_ERROR(CheckSides(size.width, size.height));
    if (planes.empty()) planes = PackedPlanes(*format, facts);
    VD_RETURN_IF_ERROR(CheckInside(planes, octets.size()));
    VD_RETURN_IF_ERROR(CheckRows(*format, facts, planes));
  } else if (size.width > kMaxFrameSide || size.height > kMaxFrameSide) {
    return CheckSides(size.width, size.height);
  }
  VD_ASSIGN_OR_RETURN(Frame frame,
                      MakeFrame(fourcc, size.width, size.height, octets, kMaxPictureBytes));
  if (!planes.empty()) frame.planes = std::move(planes);
  return frame;
}

}  // namespace viaduct
