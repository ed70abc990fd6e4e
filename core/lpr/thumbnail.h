// Smaller copies of JPEG pictures, made when somebody asks for them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace viaduct {

// Widths that there are: few, so that what is asked for again is mostly there.
inline constexpr int kThumbnailWidths[] = {80, 160, 320, 640, 1280};
// The smallest of them that is at least `wanted`, else the largest.
int ThumbnailWidth(int wanted);

struct ThumbnailLimits {
  uint64_t max_pixels = 50'000'000;  // Of the picture; checked before anything is decoded.
  uint64_t max_result_pixels = 4'000'000;
  int64_t max_memory_bytes = 48 << 20;  // Of the decoder; a progressive picture needs all of it.
  int max_scans = 64;                   // Of a progressive picture.
};

struct JpegSize {
  uint32_t width = 0;  // As its header says; no pixel was looked at.
  uint32_t height = 0;
};
// INVALID_ARGUMENT: it is no JPEG.
absl::StatusOr<JpegSize> ReadJpegSize(std::string_view jpeg);

// A JPEG of that width and the picture's proportions; "" where the picture is not wider. The
// picture is decoded in rows, at the smallest scale that is enough. INVALID_ARGUMENT: it cannot be
// decoded, or is cut short; RESOURCE_EXHAUSTED: beyond a limit.
absl::StatusOr<std::string> MakeThumbnail(std::string_view jpeg, int width,
                                          const ThumbnailLimits& limits);

// Those that were asked for last, up to a bound of octets. Thread-safe.
class ThumbnailCache {
 public:
  static constexpr size_t kMaxBytes = 16u << 20;
  static constexpr size_t kEntryBytes = 256;  // Counted for each, beside key and octets.

  explicit ThumbnailCache(size_t max_bytes = kMaxBytes) : max_bytes_(max_bytes) {}
  // Null: it is not there.
  std::shared_ptr<const std::string> Get(const std::string& key);
  // One that is larger than the bound is not kept.
  void Put(const std::string& key, std::shared_ptr<const std::string> octets);
  void Clear();
  size_t bytes() const;

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const std::string> octets;
  };
  static size_t SizeOf(const Entry& entry) {
    return entry.key.size() + entry.octets->size() + kEntryBytes;
  }

  const size_t max_bytes_;
  mutable absl::Mutex mutex_;
  std::list<Entry> entries_ ABSL_GUARDED_BY(mutex_);  // The one asked for last in front.
  absl::flat_hash_map<std::string, std::list<Entry>::iterator> by_key_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace viaduct
