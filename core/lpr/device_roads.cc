#include "core/lpr/device_roads.h"

#include <algorithm>

namespace viaduct {
namespace {

// What a road that nobody has measured is taken for: a session is the shorter way.
constexpr absl::Duration kAssumedSession = absl::Milliseconds(50);
constexpr absl::Duration kAssumedTopic = absl::Milliseconds(100);

const std::string& WayOf(const DeviceRoad& road) {
  return road.session.empty() ? road.topic : road.session;
}

absl::Duration Expected(const DeviceRoad& road) {
  if (road.round_trip > absl::ZeroDuration()) return road.round_trip;
  return road.session.empty() ? kAssumedTopic : kAssumedSession;
}

// The older of two is most likely what a lost connection has left.
bool MaySucceed(const DeviceRoad& a, const DeviceRoad& b) {
  return !a.session.empty() && !b.session.empty() && a.instance == b.instance &&
         a.protocol == b.protocol;
}

bool IsStale(const DeviceRoad& road, absl::Time now) {
  return absl::AbsDuration(now - road.measured) > kMeasuredWindow;
}

void Inherit(const std::vector<DeviceRoad>& older, DeviceRoad* road) {
  const auto before = std::find_if(older.begin(), older.end(),
                                   [&](const DeviceRoad& one) { return MaySucceed(one, *road); });
  if (before == older.end()) return;
  road->round_trip = before->round_trip;
  road->measured = before->measured;
}

}  // namespace

bool DeviceRoads::Open(const std::string& device_id, const DeviceFacts& facts, DeviceRoad road) {
  bool opened = false;
  {
    absl::MutexLock lock(&mutex_);
    opened = OpenLocked(device_id, facts, std::move(road));
  }
  TellNews();
  return opened;
}

bool DeviceRoads::OpenLocked(const std::string& device_id, const DeviceFacts& facts,
                             DeviceRoad road) {
  const Way way(road.instance, WayOf(road));
  const auto known = ways_.find(way);
  const bool again = known != ways_.end() && known->second == device_id;
  if (!again && known != ways_.end()) Drop(way);
  const auto found = devices_.find(device_id);
  if (!again && *CountOf(road) >= (road.session.empty() ? kMaxTopics : kMaxSessions)) return false;
  Device& device = found != devices_.end() ? found->second : devices_[device_id];
  if (!facts.hostname.empty()) device.facts.hostname = facts.hostname;
  if (!facts.version.empty()) device.facts.version = facts.version;
  if (again) {
    for (DeviceRoad& old : device.roads) {
      if (old.instance == road.instance && WayOf(old) == way.second) old.until = road.until;
    }
    return true;
  }
  if (device.roads.size() >= kMaxRoadsOfDevice) {
    Forget(device.roads.back());
    device.roads.pop_back();
  }
  if (device.roads.empty()) device.changed = road.since;
  Inherit(device.roads, &road);
  ++*CountOf(road);
  device.roads.insert(device.roads.begin(), std::move(road));
  ways_[way] = device_id;
  NoteNews(device_id);
  return true;
}

size_t* DeviceRoads::CountOf(const DeviceRoad& road) {
  return road.session.empty() ? &topics_ : &sessions_;
}

void DeviceRoads::Forget(const DeviceRoad& road) {
  ways_.erase(Way(road.instance, WayOf(road)));
  --*CountOf(road);
}

// A device without a road is forgotten: the store knows when it was seen.
void DeviceRoads::Drop(const Way& way) {
  const auto known = ways_.find(way);
  if (known == ways_.end()) return;
  const std::string device_id = known->second;
  const auto device = devices_.find(device_id);
  std::vector<DeviceRoad>& roads = device->second.roads;
  const auto road = std::find_if(roads.begin(), roads.end(), [&](const DeviceRoad& one) {
    return one.instance == way.first && WayOf(one) == way.second;
  });
  Forget(*road);
  roads.erase(road);
  if (roads.empty()) devices_.erase(device);
  NoteNews(device_id);
}

void DeviceRoads::NoteNews(const std::string& device_id) {
  if (news_.size() < kMaxNews) news_.insert(device_id);
  untold_ = true;
}

void DeviceRoads::TellNews() {
  std::function<void()> on_news;
  {
    absl::MutexLock lock(&mutex_);
    if (!std::exchange(untold_, false)) return;
    on_news = on_news_;
  }
  if (on_news) on_news();
}

void DeviceRoads::Renew(const std::string& device_id) {
  {
    absl::MutexLock lock(&mutex_);
    NoteNews(device_id);
  }
  TellNews();
}

void DeviceRoads::Close(std::string_view instance, std::string_view way) {
  {
    absl::MutexLock lock(&mutex_);
    Drop(Way(instance, way));
  }
  TellNews();
}

void DeviceRoads::CloseAll(std::string_view instance) {
  {
    absl::MutexLock lock(&mutex_);
    auto at = ways_.lower_bound(Way(instance, ""));
    while (at != ways_.end() && at->first.first == instance) {
      const Way way = at->first;
      ++at;
      Drop(way);
    }
  }
  TellNews();
}

void DeviceRoads::Sweep(absl::Time now) {
  std::vector<Way> late;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [device_id, device] : devices_) {
      for (const DeviceRoad& road : device.roads) {
        if (road.until <= now) late.emplace_back(road.instance, WayOf(road));
      }
    }
    for (const Way& way : late) Drop(way);
  }
  TellNews();
}

DeviceState DeviceRoads::StateOf(const std::string& device_id, const Device& device,
                                 absl::Time now) {
  DeviceState state;
  state.device_id = device_id;
  state.facts = device.facts;
  state.changed = device.changed;
  std::vector<std::pair<absl::Duration, DeviceRoad>> ranked;
  for (const DeviceRoad& road : device.roads) {
    if (road.until <= now) continue;
    DeviceRoad shown = road;
    if (IsStale(road, now)) shown.round_trip = absl::ZeroDuration();
    // A session counts as fast as the newest of its sort, so that it never goes before that.
    const auto newest = std::find_if(ranked.begin(), ranked.end(),
                                     [&](const auto& one) { return MaySucceed(one.second, road); });
    const absl::Duration rank = newest == ranked.end() ? Expected(shown) : newest->first;
    ranked.emplace_back(rank, std::move(shown));
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [rank, road] : ranked) state.roads.push_back(std::move(road));
  return state;
}

std::optional<DeviceState> DeviceRoads::Find(std::string_view device_id, absl::Time now) const {
  absl::MutexLock lock(&mutex_);
  const auto found = devices_.find(device_id);
  if (found == devices_.end()) return std::nullopt;
  return StateOf(found->first, found->second, now);
}

bool DeviceRoads::IsReachable(std::string_view device_id, absl::Time now) const {
  absl::MutexLock lock(&mutex_);
  const auto found = devices_.find(device_id);
  if (found == devices_.end()) return false;
  const std::vector<DeviceRoad>& roads = found->second.roads;
  return std::any_of(roads.begin(), roads.end(),
                     [now](const DeviceRoad& road) { return road.until > now; });
}

std::vector<DeviceState> DeviceRoads::List(absl::Time now) const {
  std::vector<DeviceState> states;
  absl::MutexLock lock(&mutex_);
  states.reserve(devices_.size());
  for (const auto& [device_id, device] : devices_) {
    states.push_back(StateOf(device_id, device, now));
    if (states.back().roads.empty()) states.pop_back();
  }
  return states;
}

std::string DeviceRoads::DeviceOf(std::string_view instance, std::string_view way) const {
  absl::MutexLock lock(&mutex_);
  const auto found = ways_.find(Way(instance, way));
  return found == ways_.end() ? "" : found->second;
}

void DeviceRoads::NoteRoundTrip(std::string_view instance, std::string_view way,
                                absl::Duration round_trip, absl::Time now) {
  absl::MutexLock lock(&mutex_);
  const auto found = ways_.find(Way(instance, way));
  if (found == ways_.end()) return;
  for (DeviceRoad& road : devices_[found->second].roads) {
    if (road.instance != instance || WayOf(road) != way) continue;
    if (!IsStale(road, now) && road.round_trip <= round_trip) continue;
    road.round_trip = round_trip;
    road.measured = now;
  }
}

std::vector<std::string> DeviceRoads::TakeNews() {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> news(news_.begin(), news_.end());
  news_.clear();
  return news;
}

}  // namespace viaduct
