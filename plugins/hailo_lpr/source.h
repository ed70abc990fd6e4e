// Where an instance gets pictures by itself.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "plugins/hailo_lpr/picture_job.h"

namespace viaduct::hailo_lpr {

enum class SourceState {
  kOpening,  // No picture yet.
  kRunning,
  kTrouble,  // No pictures now; it tries again by itself.
  kEnded,    // All there was has been read.
};

// What a source tells. Any thread; none waits.
struct SourceHooks {
  std::function<int64_t()> wall_ns;
  std::function<int64_t()> monotonic_ns;
  // False: no room, also where `most_waiting` wait; OnRoom follows, and nothing was taken.
  std::function<bool(PictureJob, size_t most_waiting)> take;
  // Of those that wait so many stay, the newest; this one does.
  std::function<void(PictureJob, size_t most_waiting)> take_newest;
  // What passes is told now, after the pictures before it.
  std::function<void()> end_stream;
  std::function<void(SourceState, const std::string& reason)> on_state;
  // A file that is no picture, or cannot be read.
  std::function<void(const absl::Status&)> on_unreadable;
  // Pictures that the camera gave and nobody had room for.
  std::function<void(uint64_t)> on_lost;
};

class Source {
 public:
  virtual ~Source() = default;
  // A camera that is away is no failure.
  virtual absl::Status Start() = 0;
  // There is room for another picture. Any thread.
  virtual void OnRoom() = 0;
  // Gives no more pictures.
  virtual void Drain() = 0;
  // Returns soon, whatever a camera does.
  virtual void Stop() = 0;
};

}  // namespace viaduct::hailo_lpr
