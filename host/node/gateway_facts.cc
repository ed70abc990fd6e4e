#include "host/node/gateway_facts.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "host/node/alert_readings.h"

namespace viaduct {
namespace {

double Millis(absl::Duration time) { return absl::ToDoubleMilliseconds(time); }

std::optional<double> ShareOf(uint64_t part, uint64_t whole) {
  if (whole == 0) return std::nullopt;
  return static_cast<double>(part) / static_cast<double>(whole);
}

// What the node took back says nothing about the link.
uint64_t FailedOf(const LinkStats& link) {
  return link.retried + link.rejected + link.expired + link.timed_out;
}

std::string StateOf(const InstanceInfo& instance, const LinkStats* link) {
  if (IsStopped(instance.state)) return "stopped";
  const std::optional<double> down = DownReading(instance, link);
  const bool cut_off = link != nullptr && link->breaker == BreakerState::kOpen;
  if (down == 1) return cut_off ? "open" : "offline";
  if (down == 0) return "ready";
  return instance.state == InstanceState::kStarted && link != nullptr ? "half_open" : "offline";
}

RoadReport RoadOf(const InstanceInfo& instance, const LinkStats* link, uint64_t confirmed) {
  RoadReport road;
  road.name = instance.name;
  road.plugin = instance.plugin;
  road.state = StateOf(instance, link);
  road.breaker = std::string(BreakerStateName(BreakerState::kClosed));
  road.quality = std::string(LinkQualityName(LinkQuality::kUnknown));
  if (link == nullptr) return road;
  road.ready = link->ready;
  road.breaker = std::string(BreakerStateName(link->breaker));
  road.metered = link->metered;
  road.share = ShareOf(link->confirmed, confirmed);
  road.confirmed = static_cast<int64_t>(link->confirmed);
  road.success_rate = ShareOf(link->confirmed, link->confirmed + FailedOf(*link));
  road.latency_p50_ms = Millis(link->reading.latency_p50);
  road.latency_p90_ms = Millis(link->reading.latency_p90);
  road.latency_p99_ms = Millis(link->reading.latency_p99);
  road.quality = std::string(LinkQualityName(link->reading.quality));
  road.score = link->reading.score;
  return road;
}

// How far it has got: all of it once the peer has it, else what a later attempt need not repeat or
// what has moved just now.
uint64_t SentOf(const Transfer& transfer) {
  if (transfer.state == TransferState::kDone ||
      transfer.state == TransferState::kWaitingConfirmation) {
    return transfer.size;
  }
  const auto durable = transfer.durable.find(transfer.road);
  return std::max(transfer.moved, durable == transfer.durable.end() ? 0 : durable->second);
}

std::vector<RoadSwitchReport> SwitchesOf(const Dispatcher& dispatcher) {
  uint64_t total = 0;
  std::vector<RoadSwitchReport> out;
  for (LinkSwitch& one : dispatcher.Switches(&total)) {
    out.push_back({one.at, std::move(one.from), std::move(one.to),
                   std::string(SwitchReasonName(one.reason)), std::move(one.why)});
  }
  return out;
}

}  // namespace

void GatewayFacts::Look(const std::vector<LinkStats>& links) {
  const int64_t now_ns = deps_.clock->MonotonicNanos();
  absl::MutexLock lock(&mutex_);
  std::map<std::string, ErrorWindow> kept;
  for (const LinkStats& link : links) {
    ErrorWindow& window = kept[link.name];
    const auto known = recent_.find(link.name);
    if (known != recent_.end()) {
      window = std::move(known->second);
    } else {
      window.Add(0, 0, kRecentTraffic, now_ns);  // As it was when the link began.
    }
    window.Add(link.confirmed, FailedOf(link), kRecentTraffic, now_ns);
  }
  recent_ = std::move(kept);
}

void GatewayFacts::AddRecent(GatewayReport* report) const {
  absl::MutexLock lock(&mutex_);
  uint64_t confirmed = 0;
  for (const auto& [name, window] : recent_) confirmed += window.Confirmed();
  for (RoadReport& road : report->links) {
    const auto found = recent_.find(road.name);
    if (found == recent_.end()) continue;
    road.recent_share = ShareOf(found->second.Confirmed(), confirmed);
    const std::optional<double> failed = found->second.Share(1);
    if (failed.has_value()) road.recent_success_rate = 1 - *failed;
  }
}

GatewayReport GatewayFacts::Roads() const {
  GatewayReport report;
  report.backlog = BacklogReport();
  if (deps_.dispatcher == nullptr) return report;
  const std::vector<LinkStats> links = deps_.dispatcher->Stats();
  std::vector<InstanceInfo> instances = deps_.instances->List();
  uint64_t confirmed = 0;
  for (const LinkStats& link : links) confirmed += link.confirmed;
  for (const LinkStats& link : links) {
    const auto found =
        std::find_if(instances.begin(), instances.end(),
                     [&](const InstanceInfo& instance) { return instance.name == link.name; });
    if (found == instances.end()) continue;  // It has gone meanwhile.
    report.links.push_back(RoadOf(*found, &link, confirmed));
    instances.erase(found);
  }
  for (const InstanceInfo& instance : instances) {
    if (instance.link) report.links.push_back(RoadOf(instance, nullptr, confirmed));
  }
  AddRecent(&report);
  report.switches = SwitchesOf(*deps_.dispatcher);
  const SpoolInfo info = deps_.spool == nullptr ? SpoolInfo() : deps_.spool->Info();
  report.backlog =
      BacklogReport{static_cast<int64_t>(info.messages), static_cast<int64_t>(info.bytes),
                    absl::ToDoubleSeconds(info.oldest_age)};
  return report;
}

std::vector<FileReport> GatewayFacts::Files(size_t most) const {
  std::vector<FileReport> files;
  if (deps_.transfers == nullptr) return files;
  for (const Transfer& transfer : deps_.transfers->UnderWay(most)) {
    files.push_back(FileOf(transfer));
  }
  return files;
}

FileReport GatewayFacts::FileOf(const Transfer& transfer) {
  FileReport file;
  file.id = transfer.id;
  file.name = transfer.remote_name;
  file.size = static_cast<int64_t>(transfer.size);
  file.sent = static_cast<int64_t>(SentOf(transfer));
  file.status = std::string(TransferStateName(transfer.state));
  file.road = transfer.road;
  file.updated_at = transfer.changed;
  return file;
}

}  // namespace viaduct
