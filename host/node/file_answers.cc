#include "host/node/file_answers.h"

#include <utility>

#include "core/lpr/file_status.h"

namespace viaduct {

void FileAnswers::Post(const FileAnswer& answer) {
  const std::string& target = answer.node_id.empty() ? answer.device_id : answer.node_id;
  {
    const absl::MutexLock lock(&mutex_);
    Device& device = devices_[target];
    if (queued_ >= kMaxQueued || device.queue.size() >= kMaxQueuedOfDevice) {
      ++dropped_;
      return;
    }
    device.queue.push_back(FileStatusJson(answer));
    ++queued_;
  }
  Pump(target);
}

void FileAnswers::Pump(const std::string& device_id) {
  while (true) {
    Order order;
    {
      const absl::MutexLock lock(&mutex_);
      const auto it = devices_.find(device_id);
      if (it == devices_.end()) return;
      Device& device = it->second;
      if (device.queue.empty() && device.under_way == 0) {
        devices_.erase(it);
        return;
      }
      if (device.queue.empty() || device.under_way >= kMaxUnderWayOfDevice) return;
      if (under_way_ >= kMaxUnderWay) {
        held_.insert(device_id);
        return;
      }
      order.arguments_json = std::move(device.queue.front());
      device.queue.pop_front();
      --queued_;
      ++device.under_way;
      ++under_way_;
    }
    order.device_id = device_id;
    order.command = std::string(kFileStatusCommand);
    order.timeout = kTimeout;
    std::string arguments = order.arguments_json;
    send_(std::move(order),
          [this, device_id, arguments = std::move(arguments)](OrderResult result) {
            Ended(device_id, arguments, result.status);
          });
  }
}

void FileAnswers::Ended(const std::string& device_id, std::string arguments,
                        const absl::Status& status) {
  std::string other;
  {
    const absl::MutexLock lock(&mutex_);
    --under_way_;
    Device& device = devices_[device_id];
    --device.under_way;
    if (absl::IsResourceExhausted(status)) {
      device.queue.push_front(std::move(arguments));
      ++queued_;
      held_.insert(device_id);
      return;  // The end of another order brings it on.
    }
    if (absl::IsUnavailable(status)) {
      dropped_ += device.queue.size() + 1;
      queued_ -= device.queue.size();
      device.queue.clear();
    }
    if (!held_.empty()) {
      other = *held_.begin();
      held_.erase(held_.begin());
    }
  }
  Pump(device_id);
  if (!other.empty()) Pump(other);
}

size_t FileAnswers::dropped() const {
  const absl::MutexLock lock(&mutex_);
  return dropped_;
}

}  // namespace viaduct
