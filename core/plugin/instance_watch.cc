#include <utility>

#include "core/plugin/instances.h"

namespace viaduct {

bool InstanceWatch::ReadyLocked() const {
  return cancelled_ || !initial_.empty() || !synced_ || !changed_.empty();
}

absl::StatusOr<InstanceEvent> InstanceWatch::Next(absl::Time deadline) {
  absl::MutexLock lock(&mutex_);
  const bool ready =
      mutex_.AwaitWithDeadline(absl::Condition(this, &InstanceWatch::ReadyLocked), deadline);
  if (cancelled_) return absl::CancelledError("instances: the watch has ended");
  if (!ready) return absl::DeadlineExceededError("instances: nothing has changed");
  auto& from = initial_.empty() ? changed_ : initial_;
  if (initial_.empty() && !synced_) {
    synced_ = true;
    InstanceEvent synced;
    synced.kind = InstanceEvent::Kind::kSynced;
    return synced;
  }
  InstanceEvent event = std::move(from.begin()->second);
  from.erase(from.begin());
  return event;
}

void InstanceWatch::Cancel() {
  absl::MutexLock lock(&mutex_);
  cancelled_ = true;
}

void InstanceWatch::Put(const std::string& name, InstanceEvent event) {
  absl::MutexLock lock(&mutex_);
  changed_[name] = std::move(event);
}

void InstanceWatch::PutInitial(std::vector<InstanceInfo> instances) {
  absl::MutexLock lock(&mutex_);
  for (InstanceInfo& info : instances) {
    const std::string name = info.name;
    initial_[name] = {InstanceEvent::Kind::kChanged, std::move(info)};
  }
}

}  // namespace viaduct
