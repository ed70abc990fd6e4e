#include "host/services/snapshot.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "core/gateway/link_stats.h"
#include "host/rpc/convert.h"
#include "host/services/envelope_convert.h"

namespace viaduct {
namespace {

namespace pb = control::v1;

absl::Duration CpuTime() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return absl::ZeroDuration();
  return absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime);
}

void AddPhase(const char* name, const LatencySnapshot& latency, pb::InstanceStats* out) {
  if (latency.count == 0) return;
  auto* phase = out->add_phases();
  phase->set_phase(name);
  FillHistogram(latency, phase->mutable_latency());
}

pb::LinkQuality ToProto(LinkQuality quality) {
  switch (quality) {
    case LinkQuality::kUnknown:
      return pb::LINK_QUALITY_UNKNOWN;
    case LinkQuality::kPoor:
      return pb::LINK_QUALITY_POOR;
    case LinkQuality::kFair:
      return pb::LINK_QUALITY_FAIR;
    case LinkQuality::kGood:
      return pb::LINK_QUALITY_GOOD;
    case LinkQuality::kExcellent:
      return pb::LINK_QUALITY_EXCELLENT;
  }
  return pb::LINK_QUALITY_UNKNOWN;
}

pb::BreakerState ToProto(BreakerState state) {
  switch (state) {
    case BreakerState::kClosed:
      return pb::BREAKER_STATE_CLOSED;
    case BreakerState::kOpen:
      return pb::BREAKER_STATE_OPEN;
    case BreakerState::kHalfOpen:
      return pb::BREAKER_STATE_HALF_OPEN;
  }
  return pb::BREAKER_STATE_UNSPECIFIED;
}

pb::SwitchReason ToProto(SwitchReason reason) {
  switch (reason) {
    case SwitchReason::kFirst:
      return pb::SWITCH_REASON_FIRST;
    case SwitchReason::kGone:
      return pb::SWITCH_REASON_GONE;
    case SwitchReason::kNotReady:
      return pb::SWITCH_REASON_NOT_READY;
    case SwitchReason::kNotBest:
      return pb::SWITCH_REASON_NOT_BEST;
  }
  return pb::SWITCH_REASON_UNSPECIFIED;
}

double Share(uint64_t part, uint64_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

// What the dispatcher counted is what reached the peer; the rest is known to the instance.
// `confirmed`: by all links.
void AddLink(const LinkStats& link, uint64_t confirmed, pb::InstanceStats* out) {
  out->set_sent(link.sent);
  out->set_confirmed(link.confirmed);
  out->set_retried(link.retried);
  out->set_rejected(link.rejected);
  out->set_expired(link.expired);
  out->set_cancelled(link.cancelled);
  out->set_timed_out(link.timed_out);
  out->set_hedged(link.hedged);
  if (confirmed > 0) out->set_usage(Share(link.confirmed, confirmed));
  // What the node took back says nothing about the link.
  const uint64_t ended =
      link.confirmed + link.retried + link.rejected + link.expired + link.timed_out;
  if (ended > 0) out->set_success_rate(Share(link.confirmed, ended));
  out->set_bytes_sent(link.bytes_sent);
  out->set_in_flight(link.in_flight);
  AddPhase("queue", link.queue, out);
  AddPhase("deliver", link.delivery, out);
  out->set_quality(ToProto(link.reading.quality));
  const LinkReading& reading = link.reading;
  pb::LinkReading* shown = out->mutable_link();
  shown->set_breaker(ToProto(link.breaker));
  shown->set_score(reading.score);
  *shown->mutable_latency() = rpc::ToProto(reading.facts.latency);
  *shown->mutable_latency_p50() = rpc::ToProto(reading.latency_p50);
  *shown->mutable_latency_p90() = rpc::ToProto(reading.latency_p90);
  *shown->mutable_latency_p99() = rpc::ToProto(reading.latency_p99);
  shown->set_loss(reading.facts.loss);
  shown->set_bytes_per_second(reading.facts.bytes_per_second);
  shown->set_uptime(reading.facts.uptime);
  shown->set_measurements(static_cast<uint32_t>(reading.measurements));
  shown->set_probes(reading.probes);
  shown->set_probe_bytes(reading.probe_bytes);
  shown->set_metered(link.metered);
}

void FillSwitches(const Dispatcher& dispatcher, pb::Snapshot* out) {
  uint64_t total = 0;
  for (const LinkSwitch& change : dispatcher.Switches(&total)) {
    pb::LinkSwitch* shown = out->add_switches();
    shown->set_from(change.from);
    shown->set_to(change.to);
    shown->set_why(change.why);
    shown->set_priority(ToProto(change.priority));
    shown->set_bytes(change.bytes);
    *shown->mutable_at() = rpc::ToProto(change.at);
    shown->set_reason(ToProto(change.reason));
  }
  out->set_switched(total);
}

pb::InstanceStats ToProto(const InstanceInfo& info) {
  pb::InstanceStats out;
  const InstanceCounters& counters = info.counters;
  out.set_instance(info.name);
  out.set_plugin(info.plugin);
  out.set_sent(counters.delivered);
  out.set_confirmed(counters.durable);
  out.set_retried(counters.retried);
  out.set_rejected(counters.rejected);
  out.set_expired(counters.expired);
  out.set_cancelled(counters.cancelled);
  out.set_bytes_sent(counters.delivered_bytes);
  out.set_received(counters.submitted + counters.calls);
  out.set_in_flight(counters.in_flight);
  out.set_quality(pb::LINK_QUALITY_UNKNOWN);
  return out;
}

// A spool that had to be rebuilt may count less than before.
uint64_t Since(uint64_t total, uint64_t at_open) { return total - std::min(total, at_open); }

// Totals outlive the process in the spool, but are told since the epoch, the start of the process.
void FillSpool(const SpoolInfo& info, const SpoolInfo& at_open, pb::QueueStats* out) {
  out->set_messages(info.messages);
  out->set_bytes(info.bytes);
  out->set_in_flight(info.in_flight);
  *out->mutable_oldest_age() = rpc::ToProto(info.oldest_age);
  out->set_accepted(Since(info.accepted_total, at_open.accepted_total));
  out->set_confirmed(Since(info.confirmed_total, at_open.confirmed_total));
  out->set_rejected(Since(info.rejected_total, at_open.rejected_total));
  out->set_expired(Since(info.expired_total, at_open.expired_total));
  out->set_dropped(Since(info.dropped_total, at_open.dropped_total));
}

}  // namespace

void FillHistogram(const LatencySnapshot& latency, pb::Histogram* histogram) {
  histogram->set_count(latency.count);
  *histogram->mutable_sum() = rpc::ToProto(absl::Microseconds(latency.sum_us));
  *histogram->mutable_p50() = rpc::ToProto(absl::Microseconds(latency.QuantileUs(0.50)));
  *histogram->mutable_p90() = rpc::ToProto(absl::Microseconds(latency.QuantileUs(0.90)));
  *histogram->mutable_p99() = rpc::ToProto(absl::Microseconds(latency.QuantileUs(0.99)));
  uint64_t below = 0;
  for (size_t i = 0; i < LatencySnapshot::kBuckets && below < latency.count; ++i) {
    below += latency.buckets[i];
    auto* bucket = histogram->add_buckets();
    *bucket->mutable_upper_bound() = rpc::ToProto(absl::Microseconds(uint64_t{1} << i));
    bucket->set_cumulative_count(below);
  }
}

uint64_t ResidentBytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long long total = 0;     // NOLINT(google-runtime-int): what scanf takes.
  unsigned long long resident = 0;  // NOLINT(google-runtime-int)
  const int read = std::fscanf(file, "%llu %llu", &total, &resident);
  static_cast<void>(std::fclose(file));
  return read == 2 ? resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

absl::StatusOr<pb::Snapshot> TakeSnapshot(const ServiceDeps& deps, const SnapshotQuery& query) {
  for (const auto& name : query.instances) {
    auto known = deps.instances->Get(name);
    if (!known.ok()) return known.status();
  }
  pb::Snapshot snapshot;
  *snapshot.mutable_time() = rpc::ToProto(deps.clock->Now());
  *snapshot.mutable_epoch() = rpc::ToProto(query.epoch);
  snapshot.set_resident_bytes(ResidentBytes());
  *snapshot.mutable_cpu_time() = rpc::ToProto(CpuTime());
  if (deps.spool != nullptr) {
    FillSpool(deps.spool->Info(), deps.spool_at_open, snapshot.mutable_spool());
  }
  std::vector<LinkStats> links;
  if (deps.dispatcher != nullptr) {
    links = deps.dispatcher->Stats();
    FillSwitches(*deps.dispatcher, &snapshot);
  }
  uint64_t confirmed = 0;
  for (const LinkStats& link : links) confirmed += link.confirmed;
  for (const auto& info : deps.instances->List()) {
    const bool wanted = query.instances.empty() ||
                        std::find(query.instances.begin(), query.instances.end(), info.name) !=
                            query.instances.end();
    if (!wanted) continue;
    auto* out = snapshot.add_instances();
    *out = ToProto(info);
    for (const auto& link : links) {
      if (link.name == info.name) AddLink(link, confirmed, out);
    }
  }
  FillFeeds(*deps.vision, &snapshot);
  if (!query.samples) return snapshot;
  for (const auto& sample : deps.metrics->Samples()) {
    auto* out = snapshot.add_samples();
    out->set_name(sample.name);
    for (const auto& [key, value] : sample.labels) (*out->mutable_labels())[key] = value;
    out->set_value(sample.value);
  }
  return snapshot;
}

}  // namespace viaduct
