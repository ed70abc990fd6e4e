// Devices that have fallen silent. Of those with a session or a road its end tells; of what sends
// by REST, or by MQTT without a last will, nothing does.
#include <utility>

#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/device_roads.h"

namespace viaduct {
namespace {

bool IsTold(const AppendResult& result) { return result.status.ok() && !result.duplicate; }

}  // namespace

// A device is silent once somebody could have heard it all the while. One page at a time: the next
// look goes on behind it.
bool Application::Impl::BeginLook(int64_t* after) {
  const absl::MutexLock lock(&silence_mutex_);
  const int64_t listening = parts_.clock->MonotonicNanos() - listening_since_ns_;
  if (telling_ || absl::Nanoseconds(listening) < kHeardWindow) return false;
  *after = looked_to_;
  return true;
}

void Application::Impl::FindSilent() {
  int64_t after = 0;
  if (parts_.store == nullptr || !BeginLook(&after)) return;
  const absl::Time now = parts_.clock->Now();
  absl::StatusOr<std::vector<SilentDevice>> page =
      parts_.store->ListSilent(now - kHeardWindow, kMaxSilentAtOnce, after);
  if (!page.ok()) return ListenAnew();
  const bool more = page->size() == static_cast<size_t>(kMaxSilentAtOnce);
  std::vector<StoreRecord> records;
  std::vector<SilentDevice> silent;
  const int64_t last = page->empty() ? 0 : page->back().number;
  for (SilentDevice& device : *page) {
    const bool reachable = parts_.reachable && parts_.reachable(device.device_id);
    if (reachable || sessions_.IsOnline(device.device_id)) continue;
    DeviceRecord record;
    record.mode = DeviceRecord::Mode::kSilent;
    record.device_id = device.device_id;
    record.at = now;
    record.seen = false;
    record.silent_since = device.last_seen;
    records.emplace_back(std::move(record));
    silent.push_back(std::move(device));
  }
  {
    const absl::MutexLock lock(&silence_mutex_);
    looked_to_ = more ? last : 0;
    telling_ = !records.empty();
  }
  if (records.empty()) return;
  parts_.store->Append(std::move(records),
                       [this, silent = std::move(silent)](
                           const std::vector<AppendResult>& results) { EndLook(silent, results); });
}

// Whoever's record has changed the row tells of it: of several nodes of one database, one.
void Application::Impl::EndLook(const std::vector<SilentDevice>& silent,
                                const std::vector<AppendResult>& results) {
  bool refused = false;
  for (size_t i = 0; i < silent.size(); ++i) {
    refused = refused || !results[i].status.ok();
    if (!IsTold(results[i])) continue;
    CameraPresence presence;
    presence.camera_id = silent[i].device_id;
    presence.checkpoint_id = silent[i].checkpoint_id;
    presence.announced = true;
    presence.at = silent[i].last_seen;
    parts_.store->NotePresence(presence);
    TellSilent(presence);
  }
  if (refused) ListenAnew();
  const absl::MutexLock lock(&silence_mutex_);
  telling_ = false;
}

// What the store does not take or show, nobody was heard of.
void Application::Impl::ListenAnew() {
  const absl::MutexLock lock(&silence_mutex_);
  listening_since_ns_ = parts_.clock->MonotonicNanos();
}

// Found here or at another node. What has no checkpoint is no camera.
void Application::Impl::TellSilent(const CameraPresence& device) {
  if (!device.checkpoint_id.empty()) {
    {
      const absl::MutexLock lock(&silence_mutex_);
      if (silent_.size() < kMaxSilent) silent_.insert(device.camera_id);
    }
    PublishStatus(device.camera_id, device.checkpoint_id, "offline");
  }
  if (parts_.renew) parts_.renew(device.camera_id);
}

bool Application::Impl::IsSilent(std::string_view camera_id) {
  const absl::MutexLock lock(&silence_mutex_);
  return silent_.contains(AbslView(camera_id));
}

bool Application::Impl::EndSilence(std::string_view camera_id) {
  const absl::MutexLock lock(&silence_mutex_);
  return silent_.erase(AbslView(camera_id)) > 0;
}

// It has sent something, here or to another node.
void Application::Impl::NoteHeard(std::string_view camera_id, std::string_view checkpoint_id) {
  if (!EndSilence(camera_id)) return;
  PublishStatus(camera_id, checkpoint_id, "online");
  if (parts_.renew) parts_.renew(std::string(camera_id));
}

// The store answers what it was told.
void Application::Impl::AwaitLook() {
  const absl::MutexLock lock(&silence_mutex_);
  silence_mutex_.Await(absl::Condition(
      +[](bool* telling) { return !*telling; }, &telling_));
}

}  // namespace viaduct
