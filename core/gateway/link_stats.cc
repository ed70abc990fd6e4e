#include "core/gateway/link_stats.h"

#include <algorithm>
#include <cmath>

namespace viaduct {

std::string_view SwitchReasonName(SwitchReason reason) {
  switch (reason) {
    case SwitchReason::kFirst:
      return "first";
    case SwitchReason::kGone:
      return "gone";
    case SwitchReason::kNotReady:
      return "not_ready";
    case SwitchReason::kNotBest:
      break;
  }
  return "not_best";
}

uint64_t LatencySnapshot::QuantileUs(double quantile) const {
  const double rank = quantile * static_cast<double>(count);
  double before = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    const auto held = static_cast<double>(buckets[i]);
    if (held > 0 && before + held >= rank) {
      const double from = i == 0 ? 0 : static_cast<double>(uint64_t{1} << (i - 1));
      const double width = i == 0 ? 1 : from;
      return static_cast<uint64_t>(std::llround(from + width * (rank - before) / held));
    }
    before += held;
  }
  return 0;
}

void LatencyHistogram::Add(int64_t nanos) {
  const auto micros = static_cast<uint64_t>(std::max<int64_t>(nanos, 0)) / 1000;
  size_t bucket = 0;
  while (bucket + 1 < LatencySnapshot::kBuckets && micros >> bucket != 0) ++bucket;
  Count(&buckets_[bucket]);
  Count(&sum_us_, micros);
}

LatencySnapshot LatencyHistogram::Read() const {
  LatencySnapshot snapshot;
  for (size_t i = 0; i < LatencySnapshot::kBuckets; ++i) {
    snapshot.buckets[i] = buckets_[i].load(std::memory_order_relaxed);
    snapshot.count += snapshot.buckets[i];
  }
  snapshot.sum_us = sum_us_.load(std::memory_order_relaxed);
  return snapshot;
}

LinkStats LinkCounters::Read(int64_t now_ns) {
  const auto get = [](const auto& value) { return value.load(std::memory_order_relaxed); };
  LinkStats stats;
  stats.connected = get(connected);
  stats.ready = get(ready);
  stats.breaker = get(breaker);
  stats.reading = meter.Read(now_ns);
  stats.sent = get(sent);
  stats.confirmed = get(confirmed);
  stats.retried = get(retried);
  stats.rejected = get(rejected);
  stats.expired = get(expired);
  stats.cancelled = get(cancelled);
  stats.timed_out = get(timed_out);
  stats.late = get(late);
  stats.hedged = get(hedged);
  stats.unknown = get(unknown);
  stats.bytes_sent = get(bytes_sent);
  stats.in_flight = get(in_flight);
  for (size_t i = 0; i < kSwitchReasons; ++i) stats.switched_to[i] = get(switched_to[i]);
  stats.queue = queue.Read();
  stats.delivery = delivery.Read();
  return stats;
}

}  // namespace viaduct
