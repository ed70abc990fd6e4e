// What a link has done, counted by the dispatcher and read by anybody.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/gateway/circuit_breaker.h"
#include "core/gateway/link.h"
#include "core/gateway/link_meter.h"

namespace viaduct {

// Why messages of a kind have begun to take a link.
enum class SwitchReason : uint8_t {
  kFirst,     // No link was chosen before.
  kGone,      // The one before is not there any more.
  kNotReady,  // It cannot take messages.
  kNotBest,   // It is no longer the best.
};
inline constexpr size_t kSwitchReasons = 4;
std::string_view SwitchReasonName(SwitchReason reason);  // "first", "gone", "not_ready", ...

// Bucket i counts values below 2^i microseconds; the last one everything above.
struct LatencySnapshot {
  static constexpr size_t kBuckets = 32;
  std::array<uint64_t, kBuckets> buckets{};
  uint64_t count = 0;
  uint64_t sum_us = 0;
  // In microseconds, as if what a bucket holds were spread evenly over it; 0 when nothing was
  // counted.
  uint64_t QuantileUs(double quantile) const;
};

// One writer, any readers; readers may see a count that is ahead of another by one event.
class LatencyHistogram {
 public:
  void Add(int64_t nanos);
  LatencySnapshot Read() const;

 private:
  std::array<std::atomic<uint64_t>, LatencySnapshot::kBuckets> buckets_{};
  std::atomic<uint64_t> sum_us_{0};
};

struct LinkStats {
  LinkId id = 0;
  std::string name;
  bool metered = false;
  bool connected = false;  // Started, and with a connection.
  bool ready = false;  // The same, and nothing was left without an answer since it last answered.
  BreakerState breaker = BreakerState::kClosed;
  LinkReading reading;
  uint64_t sent = 0;       // Deliveries taken by the link.
  uint64_t confirmed = 0;  // Each message is, by the link that was the first to do so.
  uint64_t retried = 0;
  uint64_t rejected = 0;
  uint64_t expired = 0;
  uint64_t cancelled = 0;
  uint64_t timed_out = 0;  // Not completed before the delivery deadline, or before its silence was
                           // too long beside a link that answers.
  uint64_t late = 0;       // Completed after it.
  uint64_t hedged = 0;     // Went over another link besides, since it took long.
  uint64_t unknown = 0;    // Completed twice, or never delivered: ignored.
  uint64_t bytes_sent = 0;
  uint64_t in_flight = 0;
  std::array<uint64_t, kSwitchReasons> switched_to{};
  LatencySnapshot queue;     // From acceptance to delivery.
  LatencySnapshot delivery;  // From delivery to the peer's confirmation.
};

// The same, while counting. One writer, any readers.
struct LinkCounters {
  std::atomic<uint64_t> sent{0};
  std::atomic<uint64_t> confirmed{0};
  std::atomic<uint64_t> retried{0};
  std::atomic<uint64_t> rejected{0};
  std::atomic<uint64_t> expired{0};
  std::atomic<uint64_t> cancelled{0};
  std::atomic<uint64_t> timed_out{0};
  std::atomic<uint64_t> late{0};
  std::atomic<uint64_t> hedged{0};
  std::atomic<uint64_t> unknown{0};
  std::atomic<uint64_t> bytes_sent{0};
  std::atomic<uint64_t> in_flight{0};
  std::array<std::atomic<uint64_t>, kSwitchReasons> switched_to{};
  std::atomic<bool> connected{false};
  std::atomic<bool> ready{false};
  std::atomic<BreakerState> breaker{BreakerState::kClosed};
  LatencyHistogram queue;
  LatencyHistogram delivery;
  LinkMeter meter;

  LinkStats Read(int64_t now_ns);  // Monotonic.
};

// Cheaper than fetch_add where there is one writer.
inline void Count(std::atomic<uint64_t>* counter, uint64_t n = 1) {
  counter->store(counter->load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

}  // namespace viaduct
