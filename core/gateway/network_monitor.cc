#include "core/gateway/network_monitor.h"

#include <algorithm>
#include <set>
#include <utility>

namespace viaduct {

void NetworkMonitor::Start() {
  if (!options_.enabled) return;
  timers_->ArmAfter(kLook, [this] {
    Look();
    Start();
  });
}

bool NetworkMonitor::IsDue(const LinkStats& link, const Known& known, int64_t now_ns) const {
  if (!link.connected || link.metered || known.under_way) return false;
  if (link.breaker == BreakerState::kOpen || !link.ready) {
    return absl::Nanoseconds(now_ns - known.probed_ns) >= options_.retry_interval;
  }
  const int64_t heard = std::max(link.reading.measured_ns, known.probed_ns);
  return heard == 0 || absl::Nanoseconds(now_ns - heard) >= options_.interval;
}

void NetworkMonitor::Look() {
  const int64_t now = clock_->MonotonicNanos();
  std::vector<LinkStats> due;
  {
    const absl::MutexLock lock(&mutex_);
    std::set<LinkId> there;
    for (LinkStats& link : dispatcher_->Stats()) {
      there.insert(link.id);
      Known& known = known_[link.id];
      if (!IsDue(link, known, now)) continue;
      known.under_way = true;
      known.probed_ns = now;
      due.push_back(std::move(link));
    }
    for (auto it = known_.begin(); it != known_.end();) {
      it = there.count(it->first) == 0 ? known_.erase(it) : std::next(it);
    }
  }
  for (const LinkStats& link : due) {
    const LinkId id = link.id;
    const auto done = [this, id, now](const Result& result) {
      const absl::Duration waited = absl::Nanoseconds(clock_->MonotonicNanos() - now);
      dispatcher_->NoteProbe(id, result.answered, result.answered ? result.round_trip : waited,
                             result.bytes);
      const absl::MutexLock lock(&mutex_);
      const auto known = known_.find(id);
      if (known != known_.end()) known->second.under_way = false;
    };
    if (probe_(link.name, options_.timeout, options_.payload_bytes, done)) continue;
    const absl::MutexLock lock(&mutex_);
    known_[id].under_way = false;
  }
}

}  // namespace viaduct
