// Plates over the pictures of one camera: each vehicle that passes is told once, with the reading
// that its pictures agree on and the best of them.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "opencv2/core.hpp"
#include "opencv2/video/tracking.hpp"
#include "plugins/hailo_lpr/detection.h"
#include "plugins/hailo_lpr/reading.h"
#include "plugins/hailo_lpr/vote.h"

namespace viaduct::hailo_lpr {

struct TrackerOptions {
  // A plate that was not seen for so long has passed.
  absl::Duration lost_after = absl::Seconds(1);
  // A pass is told at the latest so long after it began; what stands still is not told again.
  absl::Duration longest_pass = absl::Seconds(10);
  // The same text within so long is the same pass.
  absl::Duration again_after = absl::Seconds(10);
  // Seen in fewer pictures it is no plate.
  int least_seen = 2;
  // Below it nothing is told.
  float least_confidence = 0.5;
};

struct Scene;  // The picture that a plate was seen in.

// A plate in one picture.
struct Sighting {
  Detection plate;
  Reading reading;                     // Without characters where nothing could be read.
  float quality = 0;                   // Of its picture: sharpness and size.
  cv::Mat picture;                     // The crop; counted, not copied.
  std::string grammar;                 // That the reading has a form of; "": none.
  std::shared_ptr<const Scene> scene;  // Shared by all sightings of one picture.
};

// A vehicle that passed.
struct Pass {
  uint64_t track = 0;
  int64_t first_ns = 0;  // Times of capture.
  int64_t last_ns = 0;
  int seen = 0;
  Reading reading;
  std::vector<std::pair<std::string, float>> alternatives;
  Sighting best;  // The picture with the highest quality among those that had the text.
  int64_t best_ns = 0;
  // From where it was seen first to where it was seen last, in heights of the plate.
  float moved_x = 0;
  float moved_y = 0;
};

// Bounded memory. One thread at a time.
class Tracker {
 public:
  static constexpr size_t kMostTracks = 64;
  static constexpr size_t kMostRemembered = 64;
  static constexpr size_t kMostAlternatives = 3;
  // A picture that is older by more: the clock was set back, or had been wrong.
  static constexpr int64_t kMostBackNs = 5'000'000'000;

  struct Counters {
    uint64_t repeats = 0;   // Passes of a text that was told a short time ago.
    uint64_t doubtful = 0;  // Passes that were not told for want of confidence or pictures.
  };

  explicit Tracker(const TrackerOptions& options) : options_(options) {}

  // The plates of one picture; pictures come in the order of their capture, and one that is older
  // than the last counts as taken with it; one that is older by more than kMostBackNs ends all and
  // begins a new time. Returns the passes that ended.
  std::vector<Pass> Update(int64_t capture_ns, const std::vector<Sighting>& sightings);
  // Ends all of them: the source has ended.
  std::vector<Pass> Flush();

  Counters counters() const { return counters_; }
  size_t tracks() const { return tracks_.size(); }

 private:
  struct Track {
    uint64_t id = 0;
    cv::KalmanFilter filter;  // Middle and height, and how fast they change a second.
    Box predicted;
    Box first;
    Box last;
    int64_t predicted_ns = 0;
    bool told = false;   // It was decided whether to tell it.
    bool known = false;  // Its text is one of told_.
    Vote vote;
    Pass pass;
    std::string best_text;  // Of pass.best.
  };

  Track Begin(int64_t capture_ns, const Sighting& sighting);
  static void Predict(int64_t capture_ns, Track* track);
  static float Likeness(const Track& track, const Sighting& sighting);
  static void Extend(int64_t capture_ns, const Sighting& sighting, Track* track);
  std::vector<Track*> Assign(const std::vector<Sighting>& sightings);
  // The pass as it is to be told; nothing if it is not.
  std::optional<Pass> Tell(Track* track);
  std::vector<Pass> BeginAt(int64_t capture_ns);
  void Remember(const std::string& text, int64_t last_ns);
  bool ToldLately(const std::string& text, int64_t first_ns) const;

  const TrackerOptions options_;
  std::vector<Track> tracks_;
  std::deque<std::pair<std::string, int64_t>> told_;  // Texts and when they were seen last.
  uint64_t last_id_ = 0;
  int64_t now_ns_ = 0;
  Counters counters_;
};

}  // namespace viaduct::hailo_lpr
