// What is known of a link, from its traffic and from probes: one writer, any readers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/gateway/link_quality.h"

namespace viaduct {

struct LinkReading {
  LinkQuality quality = LinkQuality::kUnknown;
  double score = 0;                                   // ConnectivityScore.
  LinkFacts facts;                                    // Latency is the moving average.
  absl::Duration latency_p50 = absl::ZeroDuration();  // Of the history.
  absl::Duration latency_p90 = absl::ZeroDuration();
  absl::Duration latency_p99 = absl::ZeroDuration();
  size_t measurements = 0;
  int64_t measured_ns = 0;  // Monotonic, of the last one; 0: never.
  uint64_t probes = 0;
  uint64_t probe_bytes = 0;  // Both directions, as far as plugins know.
};

// Thread-safe. Times are monotonic nanoseconds.
class LinkMeter {
 public:
  static constexpr size_t kHistory = 100;
  // Traffic of so long becomes one measurement.
  static constexpr int64_t kIntervalNs = 1'000'000'000;

  void NoteReady(bool ready, int64_t now_ns);
  void NoteProbe(bool answered, absl::Duration round_trip, uint64_t bytes, int64_t now_ns);
  // Deliveries that ended at the same time: the fastest confirmation among them is the latency, for
  // the others also waited for each other.
  void NoteTraffic(uint64_t confirmed, uint64_t failed, absl::Duration fastest, int64_t now_ns);
  void NoteBandwidth(double bytes_per_second);

  LinkReading Read(int64_t now_ns);
  std::vector<LinkMeasurement> History() const;  // Oldest first.

 private:
  void AddLocked(LinkMeasurement measurement) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseIntervalLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  double UptimeLocked(int64_t now_ns) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  LinkReading MakeReadingLocked(int64_t now_ns) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  std::vector<LinkMeasurement> HistoryLocked() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::vector<LinkMeasurement> ring_ ABSL_GUARDED_BY(mutex_);
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  double latency_s_ ABSL_GUARDED_BY(mutex_) = 0;
  double loss_ ABSL_GUARDED_BY(mutex_) = 0;
  bool averaged_ ABSL_GUARDED_BY(mutex_) = false;
  double bytes_per_second_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t measured_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t probes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t probe_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // The interval that is being collected.
  int64_t interval_ns_ ABSL_GUARDED_BY(mutex_) = 0;  // 0: none.
  uint64_t confirmed_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t failed_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Duration fastest_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteDuration();
  LinkReading reading_ ABSL_GUARDED_BY(mutex_);  // As of read_ns_; 0: must be made anew.
  int64_t read_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  double uptime_ ABSL_GUARDED_BY(mutex_) = -1;  // Until since_ns_; below 0: nothing is known.
  int64_t since_ns_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace viaduct
