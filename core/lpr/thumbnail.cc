#include "core/lpr/thumbnail.h"

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
// jpeglib.h needs FILE and size_t from the lines above.
#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

constexpr int kChannels = 3;
constexpr int kQuality = 80;
constexpr unsigned kScaleParts = 8;  // The decoder scales by eighths.

// libjpeg reports errors by a call that must not return. The functions that catch them have
// nothing to destroy.
struct Errors {
  jpeg_error_mgr manager;  // First: libjpeg gives its address.
  jmp_buf failed;
  char text[JMSG_LENGTH_MAX];
  bool cut_short;
};

Errors* ErrorsOf(j_common_ptr info) { return static_cast<Errors*>(static_cast<void*>(info->err)); }

[[noreturn]] void Fail(j_common_ptr info) {
  Errors* errors = ErrorsOf(info);
  info->err->format_message(info, errors->text);
  longjmp(errors->failed, 1);
}

// What is only odd is let through; what is missing would be grey.
void Note(j_common_ptr info, int level) {
  if (level >= 0) return;
  const int code = info->err->msg_code;
  if (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER) ErrorsOf(info)->cut_short = true;
}

void Use(Errors* errors, jpeg_error_mgr** where) {
  *where = jpeg_std_error(&errors->manager);
  errors->manager.error_exit = Fail;
  errors->manager.emit_message = Note;
  errors->text[0] = '\0';
  errors->cut_short = false;
}

struct ScanLimit {
  jpeg_progress_mgr manager;  // First, as above.
  int max_scans;
};

void CountScans(j_common_ptr info) {
  const auto* limit = static_cast<ScanLimit*>(static_cast<void*>(info->progress));
  const auto* decoder = static_cast<jpeg_decompress_struct*>(static_cast<void*>(info));
  if (decoder->input_scan_number <= limit->max_scans) return;
  std::snprintf(ErrorsOf(info)->text, JMSG_LENGTH_MAX, "more than %d scans", limit->max_scans);
  longjmp(ErrorsOf(info)->failed, 1);
}

// Thread-compatible.
class Decoder {
 public:
  explicit Decoder(const ThumbnailLimits& limits) {
    Use(&errors_, &info_.err);
    scans_.manager.progress_monitor = CountScans;
    scans_.max_scans = limits.max_scans;
    created_ = Create(limits.max_memory_bytes);
  }
  ~Decoder() {
    if (created_) jpeg_destroy_decompress(&info_);
  }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  bool ReadHeader(std::string_view jpeg) {
    if (!created_ || setjmp(errors_.failed) != 0) return false;
    jpeg_mem_src(&info_, static_cast<const unsigned char*>(static_cast<const void*>(jpeg.data())),
                 jpeg.size());
    return jpeg_read_header(&info_, TRUE) == JPEG_HEADER_OK;
  }
  // At the smallest scale with at least that width.
  bool Start(unsigned width) {
    if (setjmp(errors_.failed) != 0) return false;
    info_.scale_num = info_.scale_denom = kScaleParts;
    while (info_.scale_num > 1 &&
           uint64_t{info_.image_width} * (info_.scale_num - 1) / kScaleParts >= width) {
      --info_.scale_num;
    }
    info_.out_color_space = JCS_RGB;
    info_.dct_method = JDCT_ISLOW;
    return jpeg_start_decompress(&info_) != FALSE;
  }
  bool ReadRow(uint8_t* row) {
    if (setjmp(errors_.failed) != 0) return false;
    return jpeg_read_scanlines(&info_, &row, 1) == 1 && !errors_.cut_short;
  }
  unsigned image_width() const { return info_.image_width; }
  unsigned image_height() const { return info_.image_height; }
  unsigned width() const { return info_.output_width; }
  unsigned height() const { return info_.output_height; }
  std::string Why() const {
    if (errors_.text[0] != '\0') return errors_.text;
    return errors_.cut_short ? "it is cut short" : "it is no JPEG";
  }

 private:
  bool Create(int64_t max_memory_bytes) {
    if (setjmp(errors_.failed) != 0) return false;
    jpeg_create_decompress(&info_);
    info_.mem->max_memory_to_use = static_cast<long>(max_memory_bytes);
    info_.progress = &scans_.manager;
    return true;
  }

  jpeg_decompress_struct info_{};
  Errors errors_{};
  ScanLimit scans_{};
  bool created_ = false;
};

// Adds `in` to `out`, each output cell the average of the input cells that it covers.
void ReduceRow(const uint8_t* in, unsigned in_width, unsigned out_width, float* out) {
  const double share = static_cast<double>(out_width) / in_width;
  std::fill_n(out, size_t{out_width} * kChannels, 0.F);
  for (unsigned x = 0; x < in_width; ++x) {
    const double begin = x * share;
    const double end = begin + share;
    const auto cell = std::min(static_cast<unsigned>(begin), out_width - 1);
    const double inside = std::min(end, cell + 1.0) - begin;
    for (int c = 0; c < kChannels; ++c) {
      const uint8_t value = in[x * kChannels + static_cast<unsigned>(c)];
      float* const at = out + size_t{cell} * kChannels + c;
      at[0] += static_cast<float>(value * inside);
      if (cell + 1 < out_width) at[kChannels] += static_cast<float>(value * (share - inside));
    }
  }
}

// The rows of a picture, made of the rows of a higher one. Thread-compatible.
class RowSums {
 public:
  RowSums(unsigned width, unsigned in_height, unsigned out_height)
      : cells_(size_t{width} * kChannels),
        height_(out_height),
        share_(static_cast<double>(out_height) / in_height),
        sums_(2 * cells_) {
    picture_.reserve(cells_ * height_);
  }
  void Add(unsigned y, const std::vector<float>& row) {
    const double begin = y * share_;
    const auto cell = std::min(static_cast<unsigned>(begin), height_ - 1);
    while (emitted_ < cell) Emit();
    const double inside = std::min(begin + share_, cell + 1.0) - begin;
    for (size_t i = 0; i < cells_; ++i) {
      sums_[i] += row[i] * static_cast<float>(inside);
      sums_[i + cells_] += row[i] * static_cast<float>(share_ - inside);
    }
  }
  std::vector<uint8_t> Take() {
    while (emitted_ < height_) Emit();
    return std::move(picture_);
  }

 private:
  void Emit() {
    for (size_t i = 0; i < cells_; ++i) {
      picture_.push_back(static_cast<uint8_t>(std::clamp(sums_[i] + 0.5F, 0.F, 255.F)));
      sums_[i] = std::exchange(sums_[i + cells_], 0.F);
    }
    ++emitted_;
  }

  const size_t cells_;
  const unsigned height_;
  const double share_;
  std::vector<float> sums_;  // Of the row that comes next and of the one behind it.
  std::vector<uint8_t> picture_;
  unsigned emitted_ = 0;
};

// The picture of that size; empty where the decoder fails.
std::vector<uint8_t> Reduce(Decoder* decoder, unsigned width, unsigned height) {
  std::vector<uint8_t> row(size_t{decoder->width()} * kChannels);
  std::vector<float> reduced(size_t{width} * kChannels);
  RowSums sums(width, decoder->height(), height);
  for (unsigned y = 0; y < decoder->height(); ++y) {
    if (!decoder->ReadRow(row.data())) return {};
    ReduceRow(row.data(), decoder->width(), width, reduced.data());
    sums.Add(y, reduced);
  }
  return sums.Take();
}

// False: *out is to be freed all the same.
bool Compress(uint8_t* rgb, unsigned width, unsigned height, Errors* errors,
              jpeg_compress_struct* info, unsigned char** out, unsigned long* bytes) {
  if (setjmp(errors->failed) != 0) return false;
  jpeg_create_compress(info);
  jpeg_mem_dest(info, out, bytes);
  info->image_width = width;
  info->image_height = height;
  info->input_components = kChannels;
  info->in_color_space = JCS_RGB;
  jpeg_set_defaults(info);
  jpeg_set_quality(info, kQuality, TRUE);
  jpeg_start_compress(info, TRUE);
  while (info->next_scanline < height) {
    JSAMPROW row = rgb + size_t{info->next_scanline} * width * kChannels;
    jpeg_write_scanlines(info, &row, 1);
  }
  jpeg_finish_compress(info);
  return true;
}

absl::StatusOr<std::string> Encode(std::vector<uint8_t> rgb, unsigned width, unsigned height) {
  jpeg_compress_struct info{};
  Errors errors{};
  Use(&errors, &info.err);
  unsigned char* out = nullptr;
  unsigned long bytes = 0;
  const bool ok = Compress(rgb.data(), width, height, &errors, &info, &out, &bytes);
  std::string jpeg;
  if (ok) jpeg.assign(static_cast<const char*>(static_cast<const void*>(out)), bytes);
  jpeg_destroy_compress(&info);
  std::free(out);
  if (ok) return jpeg;
  return absl::InternalError(absl::StrCat("image: cannot be written, ", errors.text));
}

absl::Status CannotRead(const Decoder& decoder) {
  return absl::InvalidArgumentError(absl::StrCat("image: cannot be decoded, ", decoder.Why()));
}

}  // namespace

int ThumbnailWidth(int wanted) {
  for (const int width : kThumbnailWidths) {
    if (width >= wanted) return width;
  }
  return *std::rbegin(kThumbnailWidths);
}

absl::StatusOr<JpegSize> ReadJpegSize(std::string_view jpeg) {
  Decoder decoder{ThumbnailLimits()};
  if (!decoder.ReadHeader(jpeg)) return CannotRead(decoder);
  return JpegSize{decoder.image_width(), decoder.image_height()};
}

absl::StatusOr<std::string> MakeThumbnail(std::string_view jpeg, int width,
                                          const ThumbnailLimits& limits) {
  Decoder decoder(limits);
  if (!decoder.ReadHeader(jpeg)) return CannotRead(decoder);
  const uint64_t pixels = uint64_t{decoder.image_width()} * decoder.image_height();
  if (pixels > limits.max_pixels) {
    return absl::ResourceExhaustedError(absl::StrCat("image: too large, ", decoder.image_width(),
                                                     " x ", decoder.image_height(), " pixels"));
  }
  const auto wanted = static_cast<unsigned>(width);
  if (decoder.image_width() <= wanted) return std::string();
  const double share = static_cast<double>(wanted) / decoder.image_width();
  const unsigned height =
      std::max(1U, static_cast<unsigned>(std::lround(decoder.image_height() * share)));
  if (uint64_t{wanted} * height > limits.max_result_pixels) {
    return absl::ResourceExhaustedError(absl::StrCat("image: too high for its width, ",
                                                     decoder.image_width(), " x ",
                                                     decoder.image_height(), " pixels"));
  }
  if (!decoder.Start(wanted)) return CannotRead(decoder);
  std::vector<uint8_t> picture = Reduce(&decoder, wanted, height);
  if (picture.empty()) return CannotRead(decoder);
  return Encode(std::move(picture), wanted, height);
}

std::shared_ptr<const std::string> ThumbnailCache::Get(const std::string& key) {
  const absl::MutexLock lock(&mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->octets;
}

void ThumbnailCache::Put(const std::string& key, std::shared_ptr<const std::string> octets) {
  Entry entry{key, std::move(octets)};
  if (SizeOf(entry) > max_bytes_) return;
  const absl::MutexLock lock(&mutex_);
  if (by_key_.contains(key)) return;
  bytes_ += SizeOf(entry);
  entries_.push_front(std::move(entry));
  by_key_[key] = entries_.begin();
  while (bytes_ > max_bytes_) {
    bytes_ -= SizeOf(entries_.back());
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
  }
}

void ThumbnailCache::Clear() {
  const absl::MutexLock lock(&mutex_);
  entries_.clear();
  by_key_.clear();
  bytes_ = 0;
}

size_t ThumbnailCache::bytes() const {
  const absl::MutexLock lock(&mutex_);
  return bytes_;
}

}  // namespace viaduct
