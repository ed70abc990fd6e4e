// By which ways a device can be reached now: sessions that it has opened, topics that it listens
// to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace viaduct {

// How long a measured round trip holds. What a command took says little of the road, so the
// shortest counts, and a road that was slow once is tried again.
inline constexpr absl::Duration kMeasuredWindow = absl::Minutes(10);

// Devices that are heard of only now and then count as there for so long, as in GET /api/cameras.
inline constexpr absl::Duration kHeardWindow = absl::Minutes(5);

// One way down to a device.
struct DeviceRoad {
  std::string instance;  // The listener.
  std::string protocol;  // As the listener words its calls: "socketio", "websocket", "mqtt".
  std::string session;   // The listener's name for it; "" where a topic leads there.
  std::string topic;     // Where the device takes commands; "" where a session leads there.
  int qos = 1;           // Of a topic.
  std::string address;   // Of the peer, as the listener has it.
  absl::Time since;
  absl::Time until = absl::InfiniteFuture();  // It is gone then unless it is heard of before.
  absl::Duration round_trip = absl::ZeroDuration();  // Shortest lately; zero: none was answered.
  absl::Time measured = absl::InfinitePast();        // When that was.
};

// What a device says of itself when it opens a way; "" where it says nothing.
struct DeviceFacts {
  std::string hostname;
  std::string version;
};

struct DeviceState {
  std::string device_id;
  DeviceFacts facts;
  std::vector<DeviceRoad> roads;              // The fastest first; empty: it cannot be reached.
  absl::Time changed = absl::InfinitePast();  // When its first road came or its last one went.
};

// A way is named by its listener and the session or topic there, and leads to one device. Nobody
// checks who a device is: what came last for a name is tried first. Thread-safe.
class DeviceRoads {
 public:
  // Anybody can write to topics, so these leave the sessions their room.
  static constexpr size_t kMaxSessions = 65'536;
  static constexpr size_t kMaxTopics = 65'536;
  static constexpr size_t kMaxDevices = kMaxSessions + kMaxTopics;
  static constexpr size_t kMaxRoadsOfDevice = 8;  // Of more, the oldest is forgotten.
  static constexpr size_t kMaxNews = kMaxDevices;

  // The way is open and leads to this device, whomever it led to before. False: too many of its
  // sort are open. A session takes over what was measured of the one before at that listener.
  bool Open(const std::string& device_id, const DeviceFacts& facts, DeviceRoad road);
  // The session or topic leads nowhere any more.
  void Close(std::string_view instance, std::string_view way);
  void CloseAll(std::string_view instance);
  // Forgets what has not been heard of in time.
  void Sweep(absl::Time now);

  // Nothing: it is not reachable and has not been since the start.
  std::optional<DeviceState> Find(std::string_view device_id, absl::Time now) const;
  bool IsReachable(std::string_view device_id, absl::Time now) const;
  std::vector<DeviceState> List(absl::Time now) const;  // By device_id; only what is reachable.
  // The device to which that session or topic leads; "" for none.
  std::string DeviceOf(std::string_view instance, std::string_view way) const;
  void NoteRoundTrip(std::string_view instance, std::string_view way, absl::Duration round_trip,
                     absl::Time now);

  // Something else of the device has changed: it is news as well.
  void Renew(const std::string& device_id);
  // Called when there is news again, on the thread that made it, without a lock; it must return at
  // once.
  void SetOnNews(std::function<void()> on_news) {
    absl::MutexLock lock(&mutex_);
    on_news_ = std::move(on_news);
  }
  // The devices whose roads have changed since the last call, each once. More than kMaxNews of them
  // are not kept: those that come after are told when they change again.
  std::vector<std::string> TakeNews();

 private:
  using Way = std::pair<std::string, std::string>;  // Listener; session or topic.

  struct Device {
    DeviceFacts facts;
    std::vector<DeviceRoad> roads;  // The newest first.
    absl::Time changed = absl::InfinitePast();
  };

  void Drop(const Way& way) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool OpenLocked(const std::string& device_id, const DeviceFacts& facts, DeviceRoad road)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Forget(const DeviceRoad& road) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  size_t* CountOf(const DeviceRoad& road) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteNews(const std::string& device_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellNews();
  static DeviceState StateOf(const std::string& device_id, const Device& device, absl::Time now);

  mutable absl::Mutex mutex_;
  std::function<void()> on_news_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Device, std::less<>> devices_ ABSL_GUARDED_BY(mutex_);
  // Ordered, so that those of one listener stand together.
  std::map<Way, std::string> ways_ ABSL_GUARDED_BY(mutex_);
  size_t sessions_ ABSL_GUARDED_BY(mutex_) = 0;  // Of ways_.
  size_t topics_ ABSL_GUARDED_BY(mutex_) = 0;    // The others.
  std::set<std::string> news_ ABSL_GUARDED_BY(mutex_);
  bool untold_ ABSL_GUARDED_BY(mutex_) = false;  // There is news since on_news_ was called.
};

}  // namespace viaduct
