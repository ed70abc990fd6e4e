// The pictures of one camera, one after the other: an event for each vehicle that passes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "plugins/hailo_lpr/analyser.h"
#include "plugins/hailo_lpr/event.h"
#include "plugins/hailo_lpr/options.h"
#include "plugins/hailo_lpr/tracker.h"

namespace viaduct::hailo_lpr {

// Bounded memory. One thread at a time.
class PictureStream {
 public:
  // What has been seen and was not told.
  struct Counters {
    uint64_t repeats = 0;
    uint64_t doubtful = 0;
    uint64_t other_way = 0;
  };

  PictureStream(const TrackerOptions& tracker, Direction direction, const EventOptions& events)
      : tracker_(tracker), direction_(direction), options_(events) {}

  // Adds the time for images to `analysis`. The events have no names of camera and checkpoint yet.
  std::vector<PlateEvent> Add(int64_t capture_ns, const cv::Mat& picture, Analysis* analysis);
  // The source has ended, or begins anew.
  std::vector<PlateEvent> End();

  Counters counters() const;
  size_t tracks() const { return tracker_.tracks(); }

 private:
  std::vector<PlateEvent> EventsOf(std::vector<Pass> passes);

  Tracker tracker_;
  const Direction direction_;
  const EventOptions options_;
  uint64_t other_way_ = 0;
};

// The plates of one picture by itself.
PlateEvent EventOf(int64_t capture_ns, const cv::Mat& picture, const EventOptions& options,
                   Analysis* analysis);

// What one picture had to say: all that passes told with it, or the picture's own.
PlateEvent JoinEvents(std::vector<PlateEvent> events, int64_t capture_ns, const Analysis& analysis);

// "down", "up", "left" or "right": the larger of both ways; "" where it hardly moved.
std::string DirectionOf(const Pass& pass);

}  // namespace viaduct::hailo_lpr
