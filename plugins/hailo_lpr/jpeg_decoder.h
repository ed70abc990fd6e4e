// What libjpeg does, without its jumps.
#pragma once

#include <csetjmp>
#include <cstdio>
#include <string>
#include <string_view>
// jpeglib.h needs FILE and size_t from the lines above.
#include <jpeglib.h>

#include "opencv2/core.hpp"

namespace viaduct::hailo_lpr {

// libjpeg reports errors by a call that must not return. The functions that catch them have nothing
// to destroy.
struct JpegErrors {
  jpeg_error_mgr manager;  // First: libjpeg gives its address.
  jmp_buf failed;
  char text[JMSG_LENGTH_MAX];
  bool cut_short;
};

// One picture. Thread-compatible.
class JpegDecoder {
 public:
  explicit JpegDecoder(int max_scans);
  ~JpegDecoder();
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  // `jpeg` outlives the decoder. Reserves nothing for its pixels.
  bool ReadHeader(std::string_view jpeg);
  int width() const { return static_cast<int>(info_.image_width); }
  int height() const { return static_cast<int>(info_.image_height); }
  // Grey, or BGR of whatever else it has.
  bool Decode(cv::Mat* pixels);
  // Its EXIF segment from "Exif\0\0" on, "" where there is none. Until Decode.
  std::string_view exif() const;
  std::string Why() const;

 private:
  struct Scans {
    jpeg_progress_mgr manager;  // First, as above.
    int most;
  };

  static void CountScans(j_common_ptr info);
  bool Create();
  bool Start();
  bool ReadRow(uint8_t* row);
  bool Finish();
  bool ReadCmyk(cv::Mat* pixels);

  jpeg_decompress_struct info_;
  JpegErrors errors_;
  Scans scans_;
  bool created_ = false;
};

// `pixels` have 8 bits, grey or BGR.
void WriteJpeg(const cv::Mat& pixels, int quality, std::string* out);

}  // namespace viaduct::hailo_lpr
