#include "core/gateway/link_meter.h"

#include <algorithm>
#include <cmath>

namespace viaduct {
namespace {

constexpr double kStep = 0.2;              // Of the moving averages.
constexpr double kUptimeMemoryNs = 600e9;  // What was ten minutes ago counts for a third.

absl::Duration Quantile(const std::vector<absl::Duration>& sorted, double quantile) {
  if (sorted.empty()) return absl::ZeroDuration();
  const auto rank = static_cast<size_t>(std::ceil(quantile * static_cast<double>(sorted.size())));
  return sorted[std::min(sorted.size(), std::max<size_t>(rank, 1)) - 1];
}

}  // namespace

void LinkMeter::NoteReady(bool ready, int64_t now_ns) {
  const absl::MutexLock lock(&mutex_);
  if (ready == ready_ && uptime_ >= 0) return;
  uptime_ = uptime_ < 0 ? (ready ? 1 : 0) : UptimeLocked(now_ns);
  ready_ = ready;
  since_ns_ = now_ns;
}

double LinkMeter::UptimeLocked(int64_t now_ns) const {
  if (uptime_ < 0) return 0;
  const double passed = static_cast<double>(std::max<int64_t>(now_ns - since_ns_, 0));
  const double kept = std::exp(-passed / kUptimeMemoryNs);
  return uptime_ * kept + (ready_ ? 1 - kept : 0);
}

void LinkMeter::NoteProbe(bool answered, absl::Duration round_trip, uint64_t bytes,
                          int64_t now_ns) {
  const absl::MutexLock lock(&mutex_);
  ++probes_;
  probe_bytes_ += bytes;
  measured_ns_ = now_ns;
  AddLocked({answered ? round_trip : absl::ZeroDuration(), answered ? 0.0 : 1.0, answered});
}

void LinkMeter::NoteTraffic(uint64_t confirmed, uint64_t failed, absl::Duration fastest,
                            int64_t now_ns) {
  const absl::MutexLock lock(&mutex_);
  if (interval_ns_ != 0 && now_ns - interval_ns_ >= kIntervalNs) CloseIntervalLocked();
  if (interval_ns_ == 0) interval_ns_ = now_ns;
  measured_ns_ = now_ns;
  confirmed_ += confirmed;
  failed_ += failed;
  if (confirmed > 0) fastest_ = std::min(fastest_, fastest);
}

void LinkMeter::CloseIntervalLocked() {
  LinkMeasurement measurement;
  measurement.answered = confirmed_ > 0;
  measurement.latency = measurement.answered ? fastest_ : absl::ZeroDuration();
  measurement.loss = static_cast<double>(failed_) / static_cast<double>(confirmed_ + failed_);
  AddLocked(measurement);
  interval_ns_ = 0;
  confirmed_ = 0;
  failed_ = 0;
  fastest_ = absl::InfiniteDuration();
}

void LinkMeter::AddLocked(LinkMeasurement measurement) {
  if (ring_.size() < kHistory) {
    ring_.push_back(measurement);
  } else {
    ring_[next_] = measurement;
  }
  next_ = (next_ + 1) % kHistory;
  loss_ += averaged_ ? kStep * (measurement.loss - loss_) : measurement.loss;
  if (measurement.answered) {
    const double latency = absl::ToDoubleSeconds(measurement.latency);
    latency_s_ = latency_s_ > 0 ? latency_s_ + kStep * (latency - latency_s_) : latency;
  }
  averaged_ = true;
  read_ns_ = 0;
}

void LinkMeter::NoteBandwidth(double bytes_per_second) {
  const absl::MutexLock lock(&mutex_);
  bytes_per_second_ = bytes_per_second;
}

std::vector<LinkMeasurement> LinkMeter::HistoryLocked() const {
  std::vector<LinkMeasurement> out;
  out.reserve(ring_.size());
  const size_t oldest = ring_.size() < kHistory ? 0 : next_;
  for (size_t i = 0; i < ring_.size(); ++i) out.push_back(ring_[(oldest + i) % ring_.size()]);
  return out;
}

std::vector<LinkMeasurement> LinkMeter::History() const {
  const absl::MutexLock lock(&mutex_);
  return HistoryLocked();
}

LinkReading LinkMeter::Read(int64_t now_ns) {
  const absl::MutexLock lock(&mutex_);
  if (interval_ns_ != 0 && now_ns - interval_ns_ >= kIntervalNs) CloseIntervalLocked();
  if (read_ns_ == 0 || now_ns - read_ns_ >= kIntervalNs) {
    reading_ = MakeReadingLocked(now_ns);
    read_ns_ = now_ns;
  }
  reading_.measured_ns = measured_ns_;
  return reading_;
}

LinkReading LinkMeter::MakeReadingLocked(int64_t now_ns) const {
  LinkReading out;
  std::vector<LinkMeasurement> history = HistoryLocked();
  out.measurements = history.size();
  out.quality = QualityOf(history);
  std::vector<absl::Duration> latencies;
  for (const LinkMeasurement& one : history) {
    if (one.answered) latencies.push_back(one.latency);
  }
  std::sort(latencies.begin(), latencies.end());
  out.latency_p50 = Quantile(latencies, 0.5);
  out.latency_p90 = Quantile(latencies, 0.9);
  out.latency_p99 = Quantile(latencies, 0.99);
  out.facts.latency = absl::Seconds(latency_s_);
  out.facts.loss = loss_;
  out.facts.bytes_per_second = bytes_per_second_;
  out.facts.uptime = UptimeLocked(now_ns);
  out.score = history.empty() ? 0 : ConnectivityScore(out.facts);
  out.probes = probes_;
  out.probe_bytes = probe_bytes_;
  return out;
}

}  // namespace viaduct
