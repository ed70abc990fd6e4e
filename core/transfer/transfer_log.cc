#include "core/transfer/transfer_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/descriptor.h"
#include "core/base/durable_file.h"
#include "core/base/status_macros.h"

namespace viaduct {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kHeaderBytes = 32;
constexpr size_t kHeaderSummed = 24;
constexpr size_t kFrameHeaderBytes = 24;
constexpr size_t kFrameSummed = 8;  // Of its header: the page's number, the size of the database.
constexpr size_t kFrameBytes = kFrameHeaderBytes + kPageBytes;
constexpr uint32_t kMagic = 0x377f0682;  // Last bit: checksums over big-endian words.
constexpr uint32_t kVersion = 3'007'000;

using Octets = std::vector<unsigned char>;

uint32_t Big32(const unsigned char* data) {
  return uint32_t{data[0]} << 24 | uint32_t{data[1]} << 16 | uint32_t{data[2]} << 8 | data[3];
}
uint32_t Little32(const unsigned char* data) {
  return uint32_t{data[3]} << 24 | uint32_t{data[2]} << 16 | uint32_t{data[1]} << 8 | data[0];
}
void PutBig32(uint32_t value, unsigned char* data) {
  for (int i = 0; i < 4; ++i) data[i] = static_cast<unsigned char>(value >> (24 - 8 * i));
}

struct Sum {
  uint32_t a = 0;
  uint32_t b = 0;

  void Add(const unsigned char* data, size_t size, bool big_endian) {
    for (size_t i = 0; i + 8 <= size; i += 8) {
      a += (big_endian ? Big32(data + i) : Little32(data + i)) + b;
      b += (big_endian ? Big32(data + i + 4) : Little32(data + i + 4)) + a;
    }
  }
  bool Is(const unsigned char* stored) const {
    return a == Big32(stored) && b == Big32(stored + 4);
  }
  void Put(unsigned char* to) const {
    PutBig32(a, to);
    PutBig32(b, to + 4);
  }
};

// One frame after the other, as they lie in the file. Thread-compatible.
class LogReader {
 public:
  explicit LogReader(const std::string& path)
      : file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) {
    if (!ReadAt(0, header_.data(), header_.size())) return;
    big_endian_ = Big32(header_.data()) == (kMagic | 1);
    Sum sum;
    sum.Add(header_.data(), kHeaderSummed, big_endian_);
    sound_header_ = (Big32(header_.data()) & ~1u) == kMagic &&
                    Big32(header_.data() + 8) == kPageBytes &&
                    sum.Is(header_.data() + kHeaderSummed);
    if (sound_header_) salts_.assign(header_.begin() + 16, header_.begin() + 24);
    if (!sound_header_) FindSalts();
  }

  bool sound_header() const { return sound_header_; }
  bool has_salts() const { return !salts_.empty(); }
  const Octets& salts() const { return salts_; }
  // False: there is no whole one any more.
  bool Next(Octets* frame) {
    frame->resize(kFrameBytes);
    if (!ReadAt(kHeaderBytes + number_ * kFrameBytes, frame->data(), kFrameBytes)) return false;
    ++number_;
    return true;
  }
  // Frames of an earlier round through the log have others.
  bool IsOurs(const Octets& frame) const {
    return has_salts() && std::memcmp(frame.data() + 8, salts_.data(), salts_.size()) == 0;
  }
  // Behind damage one of the two may be what was hit.
  bool IsPerhapsOurs(const Octets& frame) const {
    return has_salts() && (std::memcmp(frame.data() + 8, salts_.data(), 4) == 0 ||
                           std::memcmp(frame.data() + 12, salts_.data() + 4, 4) == 0);
  }
  // Whether it is what followed upon what has that checksum.
  bool Follows(const Octets& frame, const unsigned char* stored) const {
    Sum sum{Big32(stored), Big32(stored + 4)};
    sum.Add(frame.data(), kFrameSummed, big_endian_);
    sum.Add(frame.data() + kFrameHeaderBytes, kPageBytes, big_endian_);
    return sum.Is(frame.data() + 16);
  }
  const unsigned char* header_sum() const { return header_.data() + kHeaderSummed; }

 private:
  // Of a log whose header is damaged: those that two frames in a row have.
  void FindSalts() {
    Octets before(kFrameBytes);
    Octets frame;
    while (Next(&frame)) {
      const auto salts = frame.begin() + 8;
      const bool zero = std::all_of(salts, salts + 8, [](unsigned char c) { return c == 0; });
      if (!zero && std::equal(salts, salts + 8, before.begin() + 8)) {
        salts_.assign(salts, salts + 8);
        break;
      }
      before = frame;
    }
    number_ = 0;
  }

  bool ReadAt(uint64_t offset, unsigned char* out, size_t size) const {
    while (size > 0) {
      const ssize_t got = ::pread(file_.get(), out, size, static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      out += got;
      offset += static_cast<uint64_t>(got);
      size -= static_cast<size_t>(got);
    }
    return true;
  }

  const Descriptor file_;
  std::array<unsigned char, kHeaderBytes> header_{};
  bool sound_header_ = false;
  bool big_endian_ = false;
  Octets salts_;
  uint64_t number_ = 0;
};

// What is believed of the frames: which is the last that ends a transaction, and how many pages the
// database has then.
struct Extent {
  uint64_t frames = 0;
  uint32_t pages = 0;
};

Extent ExtentOf(const std::string& path, uint64_t most_pages) {
  LogReader log(path);
  Extent extent;
  Octets frame;
  uint32_t highest = 0;
  for (uint64_t count = 1; log.Next(&frame); ++count) {
    if (!log.IsPerhapsOurs(frame)) continue;
    const uint32_t page = Big32(frame.data());
    const uint32_t pages = Big32(frame.data() + 4);
    if (page <= most_pages) highest = std::max(highest, page);
    if (pages == 0 || pages > most_pages) continue;
    extent = {count, std::max(pages, highest)};
  }
  return extent;
}

// All frames end one transaction, the last of them.
class LogWriter {
 public:
  explicit LogWriter(const std::string& path)
      : path_(path),
        file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)) {}

  absl::Status Begin(const Octets& salts) {
    salts_ = salts;
    std::array<unsigned char, kHeaderBytes> header{};
    PutBig32(kMagic, header.data());
    PutBig32(kVersion, header.data() + 4);
    PutBig32(kPageBytes, header.data() + 8);
    std::copy(salts.begin(), salts.end(), header.begin() + 16);
    sum_.Add(header.data(), kHeaderSummed, /*big_endian=*/false);
    sum_.Put(header.data() + kHeaderSummed);
    return Write(header.data(), header.size());
  }
  absl::Status Add(Octets frame, uint32_t pages) {
    PutBig32(pages, frame.data() + 4);
    std::copy(salts_.begin(), salts_.end(), frame.begin() + 8);
    sum_.Add(frame.data(), kFrameSummed, /*big_endian=*/false);
    sum_.Add(frame.data() + kFrameHeaderBytes, kPageBytes, /*big_endian=*/false);
    sum_.Put(frame.data() + 16);
    return Write(frame.data(), frame.size());
  }

 private:
  absl::Status Write(const void* data, size_t size) const {
    return WriteAll(file_.get(), path_, {static_cast<const char*>(data), size});
  }

  const std::string path_;
  const Descriptor file_;
  Octets salts_;
  Sum sum_;
};

}  // namespace

bool IsLogWounded(const std::string& log_path) {
  LogReader log(log_path);
  if (!log.has_salts()) return false;
  bool broken = !log.sound_header();
  bool whole_behind = false;  // The damage.
  std::array<unsigned char, 8> before{};
  std::copy_n(log.header_sum(), before.size(), before.begin());
  Octets frame;
  while (log.Next(&frame)) {
    const bool follows = log.IsOurs(frame) && log.Follows(frame, before.data());
    whole_behind = whole_behind || (broken && follows);
    broken = broken || !follows;
    if (whole_behind && log.IsOurs(frame) && Big32(frame.data() + 4) != 0) return true;
    std::copy_n(frame.data() + 16, before.size(), before.begin());
  }
  return false;
}

absl::Status MendLog(const std::string& log_path, uint64_t database_pages,
                     const std::string& mended_path) {
  LogReader log(log_path);
  uint64_t frames = 0;
  Octets frame;
  for (LogReader counted(log_path); counted.Next(&frame);) ++frames;
  const uint64_t most_pages = database_pages + frames;
  const Extent extent = ExtentOf(log_path, most_pages);
  if (!log.has_salts() || extent.frames == 0) {
    return absl::NotFoundError("transfers: nothing of the log is known again");
  }
  LogWriter mended(mended_path);
  VD_RETURN_IF_ERROR(mended.Begin(log.salts()));
  for (uint64_t count = 1; count <= extent.frames && log.Next(&frame); ++count) {
    const uint32_t page = Big32(frame.data());
    if (!log.IsPerhapsOurs(frame) || page == 0 || page > extent.pages) continue;
    VD_RETURN_IF_ERROR(mended.Add(frame, count == extent.frames ? extent.pages : 0));
  }
  return absl::OkStatus();
}

}  // namespace viaduct
