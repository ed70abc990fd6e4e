// Events for subscribers: rooms of Socket.IO, MQTT topics, gRPC watchers.
#pragma once

#include <string>
#include <string_view>

namespace viaduct {

struct Publication {
  std::string_view event;  // "new_detection", "health_update", "camera_status", ...
  std::string_view room;   // "dashboard", "health_monitoring", "camera_<camera>_<checkpoint>"
  std::string_view body;   // One JSON object.
};

// Thread-safe. Both calls return at once and never block: they are made on the path of ingest.
class Publisher {
 public:
  virtual ~Publisher() = default;
  // False when nobody listens: the body need not be built.
  virtual bool Wanted(std::string_view room) const = 0;
  // Everything in `publication` is borrowed until Publish returns.
  virtual void Publish(const Publication& publication) = 0;
};

}  // namespace viaduct
