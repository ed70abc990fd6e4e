// Tells devices how the files stand that they have told of: the command file_transfer_status.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/lpr/fleet.h"
#include "core/receive/receiver.h"

namespace viaduct {

// A device that cannot be reached hears nothing: it tells of its file again, and is answered then.
// Thread-safe.
class FileAnswers {
 public:
  static constexpr size_t kMaxQueued = 20'000;
  static constexpr size_t kMaxQueuedOfDevice = 2'000;
  static constexpr size_t kMaxUnderWay = 256;
  static constexpr size_t kMaxUnderWayOfDevice = 8;  // Orders of people find room beside them.
  static constexpr absl::Duration kTimeout = absl::Seconds(10);

  using SendFn = std::function<void(Order, Fleet::OrderFn)>;

  // `send` is Fleet::Send; every order must have ended before this goes.
  explicit FileAnswers(SendFn send) : send_(std::move(send)) {}

  void Post(const FileAnswer& answer);
  size_t dropped() const;

 private:
  struct Device {
    std::deque<std::string> queue;  // Arguments.
    size_t under_way = 0;
  };

  void Pump(const std::string& device_id);
  void Ended(const std::string& device_id, std::string arguments, const absl::Status& status);

  const SendFn send_;
  mutable absl::Mutex mutex_;
  std::map<std::string, Device> devices_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> held_ ABSL_GUARDED_BY(mutex_);  // For want of room.
  size_t queued_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t under_way_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t dropped_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace viaduct
