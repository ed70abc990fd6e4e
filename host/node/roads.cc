#include "host/node/roads.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "core/base/string_view.h"

namespace viaduct {

void Roads::Sync(const std::vector<std::string>& configured) {
  absl::MutexLock lock(&mutex_);
  std::vector<std::shared_ptr<Link>> wanted = instances_->links();
  auto rank = [&](const std::shared_ptr<Link>& link) {
    return std::find(configured.begin(), configured.end(), link->name()) - configured.begin();
  };
  std::stable_sort(wanted.begin(), wanted.end(),
                   [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  auto gone = std::stable_partition(roads_.begin(), roads_.end(), [&](const Road& road) {
    return std::find(wanted.begin(), wanted.end(), road.link) != wanted.end();
  });
  for (auto road = gone; road != roads_.end(); ++road) dispatcher_->RemoveLink(road->id);
  roads_.erase(gone, roads_.end());
  for (auto& link : wanted) {
    const bool known = std::any_of(roads_.begin(), roads_.end(),
                                   [&](const Road& road) { return road.link == link; });
    if (known) continue;
    auto id = dispatcher_->AddLink(link.get());
    if (id.ok()) {
      roads_.push_back({*id, std::move(link)});
      continue;
    }
    log_->Error("gateway", "an instance cannot be used as a link",
                {{"instance", link->name()}, {"reason", StdView(id.status().message())}});
  }
  SetOrder(configured);
}

void Roads::SetOrder(const std::vector<std::string>& configured) {
  std::vector<LinkId> order;
  for (const std::string& name : configured) {
    for (const Road& road : roads_) {
      if (road.link->name() == name) order.push_back(road.id);
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
