#include "core/transfer/transfer_leftovers.h"

#include <algorithm>
#include <iterator>

namespace viaduct {

void TransferLeftovers::Add(const std::string& road, const Transfer& transfer) {
  if (waiting_.size() >= kMaxRoads && waiting_.count(road) == 0) return;
  std::deque<FileLeftover>& of_road = waiting_[road];
  if (of_road.size() >= kMaxOfRoad) of_road.pop_front();
  of_road.push_back({transfer.remote_name, transfer.sha256});
}

void TransferLeftovers::Turn(const std::vector<RoadEntry>& roads) {
  // A road that is not there any more is asked for nothing.
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    const bool there = std::any_of(roads.begin(), roads.end(),
                                   [&](const RoadEntry& entry) { return entry.name == it->first; });
    it = there ? std::next(it) : waiting_.erase(it);
  }
  for (const RoadEntry& entry : roads) {
    const auto found = waiting_.find(entry.name);
    if (found == waiting_.end() || !entry.road->ready()) continue;
    std::deque<FileLeftover>& of_road = found->second;
    for (size_t i = 0; i < kMaxInTurn && !of_road.empty(); ++i) {
      const absl::Status asked = entry.road->Discard(of_road.front());
      if (absl::IsUnavailable(asked) || absl::IsResourceExhausted(asked)) break;
      of_road.pop_front();
    }
    if (of_road.empty()) waiting_.erase(found);
  }
}

}  // namespace viaduct
