#include "plugins/hailo_lpr/testing/pictures.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
// jpeglib.h needs FILE and size_t from the lines above.
#include <jpeglib.h>

#include <utility>

#include "opencv2/imgcodecs.hpp"
#include "opencv2/imgproc.hpp"

namespace viaduct::hailo_lpr::testing {
namespace {

std::string Encoded(const char* extension, const cv::Mat& pixels) {
  std::vector<uchar> octets;
  cv::imencode(extension, pixels, octets);
  return {octets.begin(), octets.end()};
}

void AddShort(uint32_t value, std::string* out) {  // Big-endian, as all of it.
  out->push_back(static_cast<char>(value >> 8 & 0xff));
  out->push_back(static_cast<char>(value & 0xff));
}
void AddLong(uint32_t value, std::string* out) {
  AddShort(value >> 16, out);
  AddShort(value & 0xffff, out);
}
void AddEntry(uint32_t tag, uint32_t type, uint32_t count, uint32_t value, std::string* out) {
  AddShort(tag, out);
  AddShort(type, out);
  AddLong(count, out);
  AddLong(value, out);
}

}  // namespace

std::string JpegOf(const cv::Mat& pixels) { return Encoded(".jpg", pixels); }
std::string PngOf(const cv::Mat& pixels) { return Encoded(".png", pixels); }

std::string CmykJpegOf(const cv::Mat& bgr) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* memory = nullptr;
  unsigned long size = 0;  // NOLINT(google-runtime-int): libjpeg's.
  jpeg_mem_dest(&info, &memory, &size);
  info.image_width = static_cast<JDIMENSION>(bgr.cols);
  info.image_height = static_cast<JDIMENSION>(bgr.rows);
  info.input_components = 4;
  info.in_color_space = JCS_CMYK;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 95, TRUE);
  jpeg_start_compress(&info, TRUE);
  std::vector<unsigned char> row(static_cast<size_t>(bgr.cols) * 4);
  for (int y = 0; y < bgr.rows; ++y) {
    for (int x = 0; x < bgr.cols; ++x) {
      const auto& pixel = bgr.at<cv::Vec3b>(y, x);
      // Adobe writes it upside down, which libjpeg does as well: no black, the rest as it is.
      unsigned char* inks = &row[static_cast<size_t>(x) * 4];
      inks[0] = pixel[2];
      inks[1] = pixel[1];
      inks[2] = pixel[0];
      inks[3] = 255;
    }
    JSAMPROW at = row.data();
    jpeg_write_scanlines(&info, &at, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::string out(static_cast<const char*>(static_cast<const void*>(memory)), size);
  std::free(memory);
  return out;
}

std::string WithExif(const std::string& jpeg, int orientation, const std::string& taken,
                     const std::string& offset) {
  constexpr uint32_t kShort = 3;
  constexpr uint32_t kLong = 4;
  constexpr uint32_t kAscii = 2;
  std::string tiff("MM\0\x2a\0\0\0\x08", 8);
  const uint32_t exif_at = 8 + 2 + 2 * 12 + 4;
  AddShort(2, &tiff);
  AddEntry(0x0112, kShort, 1, static_cast<uint32_t>(orientation) << 16, &tiff);
  AddEntry(0x8769, kLong, 1, exif_at, &tiff);
  AddLong(0, &tiff);
  const uint32_t entries = (taken.empty() ? 0u : 1u) + (offset.empty() ? 0u : 1u);
  uint32_t text_at = exif_at + 2 + entries * 12 + 4;
  AddShort(entries, &tiff);
  if (!taken.empty()) {
    AddEntry(0x9003, kAscii, static_cast<uint32_t>(taken.size()) + 1, text_at, &tiff);
    text_at += static_cast<uint32_t>(taken.size()) + 1;
  }
  if (!offset.empty()) {
    AddEntry(0x9011, kAscii, static_cast<uint32_t>(offset.size()) + 1, text_at, &tiff);
  }
  AddLong(0, &tiff);
  if (!taken.empty()) tiff.append(taken).push_back('\0');
  if (!offset.empty()) tiff.append(offset).push_back('\0');
  std::string segment("\xff\xe1", 2);
  AddShort(static_cast<uint32_t>(2 + 6 + tiff.size()), &segment);
  segment.append("Exif\0\0", 6).append(tiff);
  return jpeg.substr(0, 2) + segment + jpeg.substr(2);
}

std::string WithClaimedSize(std::string jpeg, int width, int height) {
  const size_t at = jpeg.find("\xff\xc0");
  std::string size;
  AddShort(static_cast<uint32_t>(height), &size);
  AddShort(static_cast<uint32_t>(width), &size);
  return jpeg.replace(at + 5, size.size(), size);
}

}  // namespace viaduct::hailo_lpr::testing
