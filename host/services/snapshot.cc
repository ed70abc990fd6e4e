#include "host/services/snapshot.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <string_view>
#include <utility>

#include "absl/strings/numbers.h"
#include "host/rpc/convert.h"

namespace viaduct {
namespace {

namespace pb = control::v1;

// Histograms of the metrics registry with this name become phases of their instance.
constexpr std::string_view kPhaseMetric = "viaduct_gateway_phase_seconds";

absl::Duration CpuTime() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return absl::ZeroDuration();
  return absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime);
}

std::string LabelOf(const MetricSample& sample, std::string_view name) {
  for (const auto& [key, value] : sample.labels) {
    if (key == name) return value;
  }
  return "";
}

// The bound below which a share of the observations lies.
google::protobuf::Duration Quantile(const pb::Histogram& histogram, double share) {
  const double wanted = static_cast<double>(histogram.count()) * share;
  for (const auto& bucket : histogram.buckets()) {
    if (static_cast<double>(bucket.cumulative_count()) >= wanted) return bucket.upper_bound();
  }
  return histogram.buckets_size() > 0
             ? histogram.buckets(histogram.buckets_size() - 1).upper_bound()
             : google::protobuf::Duration();
}

// Phase histograms of one instance, by phase.
using Phases = std::map<std::string, pb::Histogram>;

std::map<std::string, Phases> CollectPhases(const std::vector<MetricSample>& samples) {
  std::map<std::string, Phases> instances;
  for (const auto& sample : samples) {
    std::string_view name = sample.name;
    if (name.substr(0, kPhaseMetric.size()) != kPhaseMetric) continue;
    name.remove_prefix(kPhaseMetric.size());
    pb::Histogram& histogram = instances[LabelOf(sample, "instance")][LabelOf(sample, "phase")];
    if (name == "_count") histogram.set_count(static_cast<uint64_t>(sample.value));
    if (name == "_sum") *histogram.mutable_sum() = rpc::ToProto(absl::Seconds(sample.value));
    double bound = 0;
    if (name != "_bucket" || !absl::SimpleAtod(LabelOf(sample, "le"), &bound)) continue;
    if (bound > 1e9) continue;  // Infinity is the count.
    auto* bucket = histogram.add_buckets();
    *bucket->mutable_upper_bound() = rpc::ToProto(absl::Seconds(bound));
    bucket->set_cumulative_count(static_cast<uint64_t>(sample.value));
  }
  return instances;
}

pb::InstanceStats ToProto(const InstanceInfo& info, Phases phases) {
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
  for (auto& [name, histogram] : phases) {
    auto* phase = out.add_phases();
    phase->set_phase(name);
    *phase->mutable_latency() = std::move(histogram);
    *phase->mutable_latency()->mutable_p50() = Quantile(phase->latency(), 0.50);
    *phase->mutable_latency()->mutable_p99() = Quantile(phase->latency(), 0.99);
  }
  return out;
}

void FillSpool(const SpoolInfo& info, pb::QueueStats* out) {
  out->set_messages(info.messages);
  out->set_bytes(info.bytes);
  out->set_in_flight(info.in_flight);
  *out->mutable_oldest_age() = rpc::ToProto(info.oldest_age);
  out->set_accepted(info.accepted_total);
  out->set_confirmed(info.confirmed_total);
  out->set_rejected(info.rejected_total);
  out->set_expired(info.expired_total);
  out->set_dropped(info.dropped_total);
}

}  // namespace

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
  if (deps.spool != nullptr) FillSpool(deps.spool->Info(), snapshot.mutable_spool());
  const std::vector<MetricSample> samples = deps.metrics->Samples();
  auto phases = CollectPhases(samples);
  for (const auto& info : deps.instances->List()) {
    const bool wanted = query.instances.empty() ||
                        std::find(query.instances.begin(), query.instances.end(), info.name) !=
                            query.instances.end();
    if (wanted) *snapshot.add_instances() = ToProto(info, std::move(phases[info.name]));
  }
  if (!query.samples) return snapshot;
  for (const auto& sample : samples) {
    auto* out = snapshot.add_samples();
    out->set_name(sample.name);
    for (const auto& [key, value] : sample.labels) (*out->mutable_labels())[key] = value;
    out->set_value(sample.value);
  }
  return snapshot;
}

}  // namespace viaduct
