// So many lines of the log a minute and no more, whatever comes from outside.
#pragma once

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace viaduct::hailo_lpr {

// Thread-safe.
class LineLimit {
 public:
  static constexpr int kMostLines = 20;
  static constexpr int64_t kWindowNs = 60'000'000'000;

  bool Allows(int64_t now_ns) {
    absl::MutexLock lock(&mutex_);
    if (lines_ == 0 || now_ns - begin_ns_ >= kWindowNs) {
      begin_ns_ = now_ns;
      lines_ = 0;
    }
    return ++lines_ <= kMostLines;
  }

 private:
  absl::Mutex mutex_;
  int lines_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t begin_ns_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace viaduct::hailo_lpr
