#include "core/gateway/road_monitor.h"

#include <utility>

namespace viaduct {

void RoadMonitor::SetRoads(std::vector<Road> roads) {
  const absl::MutexLock lock(&mutex_);
  std::map<std::string, Known> before = std::exchange(known_, {});
  for (Road& road : roads) {
    if (known_.size() >= kMaxRoads) return;
    const auto found = before.find(road.name);
    Known known = found == before.end() ? Known() : std::move(found->second);
    if (known.meter == nullptr) known.meter = std::make_shared<LinkMeter>();
    const std::string name = road.name;
    known.road = std::move(road);
    known_.insert_or_assign(name, std::move(known));
  }
}

void RoadMonitor::Start() {
  if (!options_.enabled) return;
  timers_->ArmAfter(kLook, [this] {
    Look();
    Start();
  });
}

bool RoadMonitor::IsDue(const Known& known, bool ready, int64_t now_ns) const {
  if (!ready || known.road.metered || known.under_way) return false;
  if (known.probed_ns == 0) return true;
  const absl::Duration since = absl::Nanoseconds(now_ns - known.probed_ns);
  return since >= (known.answered ? options_.interval : options_.retry_interval);
}

void RoadMonitor::Look() {
  const int64_t now = clock_->MonotonicNanos();
  std::map<std::string, Road> roads;
  {
    const absl::MutexLock lock(&mutex_);
    for (const auto& [name, known] : known_) roads.emplace(name, known.road);
  }
  std::vector<std::string> due;
  for (const auto& [name, road] : roads) {
    const bool ready = road.ready();
    const absl::MutexLock lock(&mutex_);
    const auto found = known_.find(name);
    if (found == known_.end()) continue;
    found->second.meter->NoteReady(ready && found->second.answered, now);
    if (!IsDue(found->second, ready, now)) continue;
    found->second.under_way = true;
    found->second.probed_ns = now;
    due.push_back(name);
  }
  for (const std::string& name : due) {
    const auto done = [this, name](const NetworkMonitor::Result& result) { End(name, result); };
    if (probe_(name, options_.timeout, options_.payload_bytes, done)) continue;
    const absl::MutexLock lock(&mutex_);
    const auto found = known_.find(name);
    if (found != known_.end()) found->second.under_way = false;
  }
}

void RoadMonitor::End(const std::string& road, const NetworkMonitor::Result& result) {
  const absl::MutexLock lock(&mutex_);
  const auto found = known_.find(road);
  if (found == known_.end()) return;
  found->second.under_way = false;
  found->second.answered = result.answered;
  found->second.meter->NoteProbe(result.answered, result.round_trip, result.bytes,
                                 clock_->MonotonicNanos());
}

std::optional<LinkReading> RoadMonitor::Read(const std::string& road) const {
  const absl::MutexLock lock(&mutex_);
  const auto found = known_.find(road);
  if (found == known_.end()) return std::nullopt;
  LinkReading reading = found->second.meter->Read(clock_->MonotonicNanos());
  if (reading.measured_ns == 0) return std::nullopt;
  return reading;
}

}  // namespace viaduct
