// Real pictures for tests, and what is done to them.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
// jpeglib.h needs FILE and size_t from the lines above.
#include <jpeglib.h>

#include <string>
#include <vector>

namespace viaduct {

// Left half red, right half blue.
inline std::string JpegPicture(unsigned width, unsigned height, bool progressive = false) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* out = nullptr;
  unsigned long bytes = 0;
  jpeg_mem_dest(&info, &out, &bytes);
  info.image_width = width;
  info.image_height = height;
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  if (progressive) jpeg_simple_progression(&info);
  jpeg_start_compress(&info, TRUE);
  std::vector<uint8_t> row(size_t{width} * 3);
  for (unsigned x = 0; x < width; ++x) row[x * 3 + (x < width / 2 ? 0 : 2)] = 255;
  while (info.next_scanline < height) {
    JSAMPROW rows = row.data();
    jpeg_write_scanlines(&info, &rows, 1);
  }
  jpeg_finish_compress(&info);
  std::string jpeg(out, out + bytes);
  jpeg_destroy_compress(&info);
  std::free(out);
  return jpeg;
}

// Another size is told than there is.
inline std::string WithJpegSize(std::string jpeg, unsigned width, unsigned height) {
  const size_t frame = jpeg.find("\xff\xc0");
  if (frame == std::string::npos) return {};
  jpeg[frame + 5] = static_cast<char>(height >> 8);
  jpeg[frame + 6] = static_cast<char>(height & 255);
  jpeg[frame + 7] = static_cast<char>(width >> 8);
  jpeg[frame + 8] = static_cast<char>(width & 255);
  return jpeg;
}

}  // namespace viaduct
