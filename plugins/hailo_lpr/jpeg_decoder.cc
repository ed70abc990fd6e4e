#include "plugins/hailo_lpr/jpeg_decoder.h"

#include <jerror.h>

#include <cstdlib>
#include <vector>

namespace viaduct::hailo_lpr {
namespace {

constexpr int kExifMarker = JPEG_APP0 + 1;
constexpr unsigned kMaxExifBytes = 0xffff;
constexpr std::string_view kExifStart("Exif\0\0", 6);
constexpr int kMost = 255;

JpegErrors* ErrorsOf(j_common_ptr info) {
  return static_cast<JpegErrors*>(static_cast<void*>(info->err));
}

[[noreturn]] void Fail(j_common_ptr info) {
  JpegErrors* errors = ErrorsOf(info);
  info->err->format_message(info, errors->text);
  longjmp(errors->failed, 1);
}

// What is only odd is let through; what is missing would be grey.
void Note(j_common_ptr info, int level) {
  if (level >= 0) return;
  const int code = info->err->msg_code;
  if (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER) ErrorsOf(info)->cut_short = true;
}

void Use(JpegErrors* errors, jpeg_error_mgr** where) {
  *where = jpeg_std_error(&errors->manager);
  errors->manager.error_exit = Fail;
  errors->manager.emit_message = Note;
  errors->text[0] = '\0';
  errors->cut_short = false;
}

// Adobe writes ink upside down: 255 is none of it.
void RowOfCmyk(const uint8_t* cmyk, bool inverted, int width, uint8_t* bgr) {
  for (int x = 0; x < width; ++x, cmyk += 4, bgr += 3) {
    for (int i = 0; i < 3; ++i) {
      const int ink = inverted ? cmyk[2 - i] : kMost - cmyk[2 - i];
      const int black = inverted ? cmyk[3] : kMost - cmyk[3];
      bgr[i] = static_cast<uint8_t>(ink * black / kMost);
    }
  }
}

}  // namespace

JpegDecoder::JpegDecoder(int max_scans) : info_(), errors_(), scans_() {
  Use(&errors_, &info_.err);
  scans_.manager.progress_monitor = CountScans;
  scans_.most = max_scans;
  created_ = Create();
}

JpegDecoder::~JpegDecoder() {
  if (created_) jpeg_destroy_decompress(&info_);
}

bool JpegDecoder::Create() {
  if (setjmp(errors_.failed) != 0) return false;
  jpeg_create_decompress(&info_);
  info_.progress = &scans_.manager;
  jpeg_save_markers(&info_, kExifMarker, kMaxExifBytes);
  return true;
}

void JpegDecoder::CountScans(j_common_ptr info) {
  const auto* scans = static_cast<Scans*>(static_cast<void*>(info->progress));
  const auto* decoder = static_cast<jpeg_decompress_struct*>(static_cast<void*>(info));
  if (decoder->input_scan_number <= scans->most) return;
  std::snprintf(ErrorsOf(info)->text, JMSG_LENGTH_MAX, "more than %d scans", scans->most);
  longjmp(ErrorsOf(info)->failed, 1);
}

bool JpegDecoder::ReadHeader(std::string_view jpeg) {
  if (!created_ || setjmp(errors_.failed) != 0) return false;
  jpeg_mem_src(&info_, static_cast<const unsigned char*>(static_cast<const void*>(jpeg.data())),
               jpeg.size());
  return jpeg_read_header(&info_, TRUE) == JPEG_HEADER_OK;
}

bool JpegDecoder::Start() {
  if (setjmp(errors_.failed) != 0) return false;
  const bool inks = info_.jpeg_color_space == JCS_CMYK || info_.jpeg_color_space == JCS_YCCK;
  info_.out_color_space = inks ? JCS_CMYK : info_.num_components == 1 ? JCS_GRAYSCALE : JCS_EXT_BGR;
  return jpeg_start_decompress(&info_) != FALSE;
}

bool JpegDecoder::ReadRow(uint8_t* row) {
  if (setjmp(errors_.failed) != 0) return false;
  return jpeg_read_scanlines(&info_, &row, 1) == 1 && !errors_.cut_short;
}

bool JpegDecoder::Finish() {
  if (setjmp(errors_.failed) != 0) return false;
  return jpeg_finish_decompress(&info_) != FALSE && !errors_.cut_short;
}

bool JpegDecoder::Decode(cv::Mat* pixels) {
  if (!Start()) return false;
  if (info_.out_color_space == JCS_CMYK) return ReadCmyk(pixels) && Finish();
  const int type = info_.out_color_space == JCS_GRAYSCALE ? CV_8UC1 : CV_8UC3;
  pixels->create(height(), width(), type);
  for (int y = 0; y < pixels->rows; ++y) {
    if (!ReadRow(pixels->ptr(y))) return false;
  }
  return Finish();
}

bool JpegDecoder::ReadCmyk(cv::Mat* pixels) {
  pixels->create(height(), width(), CV_8UC3);
  std::vector<uint8_t> row(static_cast<size_t>(width()) * 4);
  for (int y = 0; y < pixels->rows; ++y) {
    if (!ReadRow(row.data())) return false;
    RowOfCmyk(row.data(), info_.saw_Adobe_marker != FALSE, width(), pixels->ptr(y));
  }
  return true;
}

std::string_view JpegDecoder::exif() const {
  for (jpeg_saved_marker_ptr at = info_.marker_list; at != nullptr; at = at->next) {
    const std::string_view text(static_cast<const char*>(static_cast<const void*>(at->data)),
                                at->data_length);
    if (at->marker == kExifMarker && text.substr(0, kExifStart.size()) == kExifStart) return text;
  }
  return {};
}

std::string JpegDecoder::Why() const {
  if (errors_.text[0] != '\0') return std::string("a broken JPEG, ") + errors_.text;
  return errors_.cut_short ? "a JPEG that is cut short" : "no JPEG";
}

namespace {

// Owns what libjpeg allocates for one picture that is written.
class Encoder {
 public:
  Encoder() : info_(), errors_() { Use(&errors_, &info_.err); }
  ~Encoder() {
    jpeg_destroy_compress(&info_);
    std::free(memory_);
  }
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;

  bool Write(const cv::Mat& pixels, int quality) {
    if (setjmp(errors_.failed) != 0) return false;
    jpeg_create_compress(&info_);
    jpeg_mem_dest(&info_, &memory_, &size_);
    info_.image_width = static_cast<JDIMENSION>(pixels.cols);
    info_.image_height = static_cast<JDIMENSION>(pixels.rows);
    info_.input_components = pixels.channels();
    info_.in_color_space = pixels.channels() == 1 ? JCS_GRAYSCALE : JCS_EXT_BGR;
    jpeg_set_defaults(&info_);
    jpeg_set_quality(&info_, quality, TRUE);
    jpeg_start_compress(&info_, TRUE);
    for (int y = 0; y < pixels.rows; ++y) {
      // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): libjpeg only reads it.
      JSAMPROW row = const_cast<JSAMPROW>(pixels.ptr(y));
      jpeg_write_scanlines(&info_, &row, 1);
    }
    jpeg_finish_compress(&info_);
    return true;
  }
  std::string_view octets() const {
    return {static_cast<const char*>(static_cast<const void*>(memory_)), size_};
  }

 private:
  jpeg_compress_struct info_;
  JpegErrors errors_;
  unsigned char* memory_ = nullptr;
  unsigned long size_ = 0;  // NOLINT(google-runtime-int): libjpeg's.
};

}  // namespace

void WriteJpeg(const cv::Mat& pixels, int quality, std::string* out) {
  out->clear();
  Encoder encoder;
  if (encoder.Write(pixels, quality)) out->assign(encoder.octets());
}

}  // namespace viaduct::hailo_lpr
