#include "host/node/roads.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "core/base/string_view.h"
#include "core/plugin/road_prober.h"

namespace viaduct {

void Roads::Sync(const std::vector<Configured>& configured) {
  absl::MutexLock lock(&mutex_);
  std::vector<std::shared_ptr<Link>> wanted = instances_->links();
  const auto find = [&](const std::shared_ptr<Link>& link) {
    return std::find_if(configured.begin(), configured.end(),
                        [&](const Configured& one) { return one.name == link->name(); });
  };
  const auto traits_of = [&](const std::shared_ptr<Link>& link) {
    const auto found = find(link);
    return found == configured.end() ? LinkTraits() : found->traits;
  };
  const auto rank = [&](const std::shared_ptr<Link>& link) {
    return find(link) - configured.begin();
  };
  std::stable_sort(wanted.begin(), wanted.end(),
                   [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  auto gone = std::stable_partition(roads_.begin(), roads_.end(), [&](const Road& road) {
    return std::find(wanted.begin(), wanted.end(), road.link) != wanted.end() &&
           road.traits == traits_of(road.link);
  });
  for (auto road = gone; road != roads_.end(); ++road) dispatcher_->RemoveLink(road->id);
  roads_.erase(gone, roads_.end());
  for (auto& link : wanted) {
    const bool known = std::any_of(roads_.begin(), roads_.end(),
                                   [&](const Road& road) { return road.link == link; });
    if (known) continue;
    LinkTraits traits = traits_of(link);
    auto id = dispatcher_->AddLink(link.get(), traits);
    if (id.ok()) {
      roads_.push_back({*id, std::move(link), std::move(traits)});
      continue;
    }
    log_->Error("gateway", "an instance cannot be used as a link",
                {{"instance", link->name()}, {"reason", StdView(id.status().message())}});
  }
  SetOrder(configured);
}

bool Roads::Probe(const std::string& name, absl::Duration limit, uint32_t payload_bytes,
                  NetworkMonitor::DoneFn done) {
  const auto prober = instances_->prober(name);
  if (!prober.ok()) return false;
  (*prober)->Probe(limit, payload_bytes, [done = std::move(done)](const ProbeResult& result) {
    done({result.status.ok(), result.round_trip, result.bytes_sent + result.bytes_received});
  });
  return true;
}

void Roads::SetOrder(const std::vector<Configured>& configured) {
  std::vector<LinkId> order;
  for (const Configured& one : configured) {
    for (const Road& road : roads_) {
      if (road.link->name() == one.name) order.push_back(road.id);
    }
  }
  dispatcher_->SetOrder(order);
}

void Roads::Clear() {
  absl::MutexLock lock(&mutex_);
  for (const auto& road : roads_) dispatcher_->RemoveLink(road.id);
  roads_.clear();
}

}  // namespace viaduct
