#include "plugins/hailo_lpr/tracker.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace viaduct::hailo_lpr {
namespace {

constexpr int kMeasured = 3;
constexpr int kStates = 2 * kMeasured;
// In heights of the plate: how far the detector is off, how much the speed changes a second.
constexpr float kMeasurementNoise = 0.15F;
constexpr float kSpeedNoise = 8;
constexpr float kFirstSpeed = 20;
// The least that makes a sighting one of a track (see Likeness).
constexpr float kLeastLikeness = 0.15F;
// A plate whose middle is so many of its widths away is another one.
constexpr float kFarthest = 1.5F;
constexpr float kMostTaller = 1.8F;
constexpr float kSameText = 0.5F;

float MiddleX(const Box& box) { return (box.left + box.right) / 2; }
float MiddleY(const Box& box) { return (box.top + box.bottom) / 2; }

float Squared(float value) { return value * value; }

}  // namespace

Tracker::Track Tracker::Begin(int64_t capture_ns, const Sighting& sighting) {
  Track track;
  track.id = ++last_id_;
  track.first = track.last = track.predicted = sighting.plate.box;
  track.predicted_ns = capture_ns;
  const Box& box = sighting.plate.box;
  const float height = std::max(box.height(), 1.0F);
  cv::KalmanFilter& filter = track.filter;
  filter.init(kStates, kMeasured, 0, CV_32F);
  cv::setIdentity(filter.measurementMatrix);
  cv::setIdentity(filter.measurementNoiseCov, cv::Scalar::all(Squared(kMeasurementNoise * height)));
  cv::setIdentity(filter.errorCovPost, cv::Scalar::all(Squared(kMeasurementNoise * height)));
  for (int i = kMeasured; i < kStates; ++i) {
    filter.errorCovPost.at<float>(i, i) = Squared(kFirstSpeed * height);
  }
  filter.statePost = (cv::Mat_<float>(kStates, 1) << MiddleX(box), MiddleY(box), height, 0, 0, 0);
  track.pass.track = track.id;
  track.pass.first_ns = capture_ns;
  return track;
}

void Tracker::Predict(int64_t capture_ns, Track* track) {
  const float seconds = static_cast<float>(capture_ns - track->predicted_ns) * 1e-9F;
  track->predicted_ns = capture_ns;
  cv::KalmanFilter& filter = track->filter;
  cv::setIdentity(filter.transitionMatrix);
  cv::setIdentity(filter.processNoiseCov, cv::Scalar::all(1e-3));
  const float noise = Squared(kSpeedNoise * std::max(track->last.height(), 1.0F)) * seconds;
  for (int i = 0; i < kMeasured; ++i) {
    filter.transitionMatrix.at<float>(i, kMeasured + i) = seconds;
    filter.processNoiseCov.at<float>(i, i) += noise * seconds * seconds;
    filter.processNoiseCov.at<float>(kMeasured + i, kMeasured + i) = noise;
  }
  const cv::Mat& state = filter.predict();
  const float height = std::max(state.at<float>(2), 1.0F);
  const float width = height * track->last.width() / std::max(track->last.height(), 1.0F);
  const float x = state.at<float>(0);
  const float y = state.at<float>(1);
  track->predicted = {x - width / 2, y - height / 2, x + width / 2, y + height / 2};
}

// Where it should be, or near it and with the text that the track has: 0 to 2, negative if it can
// not be.
float Tracker::Likeness(const Track& track, const Sighting& sighting) {
  const Box& box = sighting.plate.box;
  const float taller = box.height() / std::max(track.predicted.height(), 1.0F);
  if (taller > kMostTaller || taller < 1 / kMostTaller) return -1;
  const float apart =
      std::hypot(MiddleX(box) - MiddleX(track.predicted), MiddleY(box) - MiddleY(track.predicted)) /
      std::max(track.predicted.width(), 1.0F);
  if (apart > kFarthest) return -1;
  float like = std::max(Iou(box, track.predicted), (1 - apart / kFarthest) / 2);
  if (!sighting.reading.characters.empty() &&
      sighting.reading.text() == track.vote.Result().text()) {
    like += kSameText;
  }
  return like;
}

// The likeliest pairs first; each track and each sighting once.
std::vector<Tracker::Track*> Tracker::Assign(const std::vector<Sighting>& sightings) {
  struct Pair {
    float like;
    size_t track;
    size_t sighting;
  };
  std::vector<Pair> pairs;
  for (size_t t = 0; t < tracks_.size(); ++t) {
    for (size_t s = 0; s < sightings.size(); ++s) {
      const float like = Likeness(tracks_[t], sightings[s]);
      if (like >= kLeastLikeness) pairs.push_back({like, t, s});
    }
  }
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Pair& a, const Pair& b) { return a.like > b.like; });
  std::vector<Track*> assigned(sightings.size(), nullptr);
  std::vector<bool> taken(tracks_.size(), false);
  for (const Pair& pair : pairs) {
    if (taken[pair.track] || assigned[pair.sighting] != nullptr) continue;
    taken[pair.track] = true;
    assigned[pair.sighting] = &tracks_[pair.track];
  }
  return assigned;
}

void Tracker::Extend(int64_t capture_ns, const Sighting& sighting, Track* track) {
  const Box& box = sighting.plate.box;
  if (track->pass.seen > 0) {  // The first one is where the filter begins.
    const cv::Mat measured =
        (cv::Mat_<float>(kMeasured, 1) << MiddleX(box), MiddleY(box), box.height());
    track->filter.correct(measured);
  }
  track->last = box;
  Pass& pass = track->pass;
  pass.last_ns = capture_ns;
  ++pass.seen;
  track->vote.Add(sighting.reading);
  const std::string text = track->vote.Result().text();
  const bool has_text = sighting.reading.text() == text;
  const bool best_has_text = track->best_text == text;
  // A picture of the text that is told goes before a better one of another.
  if (pass.seen > 1 &&
      (has_text == best_has_text ? sighting.quality <= pass.best.quality : best_has_text)) {
    return;
  }
  pass.best = sighting;
  pass.best_ns = capture_ns;
  track->best_text = sighting.reading.text();
}

std::vector<Pass> Tracker::Update(int64_t capture_ns, const std::vector<Sighting>& sightings) {
  std::vector<Pass> told;
  capture_ns = std::max<int64_t>(capture_ns, 0);
  if (now_ns_ - capture_ns > kMostBackNs) told = BeginAt(capture_ns);
  now_ns_ = std::max(now_ns_, capture_ns);
  for (Track& track : tracks_) Predict(now_ns_, &track);
  const std::vector<Track*> assigned = Assign(sightings);
  std::vector<const Sighting*> fresh;
  for (size_t i = 0; i < sightings.size(); ++i) {
    if (assigned[i] != nullptr) {
      Extend(now_ns_, sightings[i], assigned[i]);
    } else {
      fresh.push_back(&sightings[i]);
    }
  }
  for (const Sighting* sighting : fresh) {
    if (tracks_.size() == kMostTracks) break;
    tracks_.push_back(Begin(now_ns_, *sighting));
    Extend(now_ns_, *sighting, &tracks_.back());
  }
  for (auto track = tracks_.begin(); track != tracks_.end();) {
    const bool lost = absl::Nanoseconds(now_ns_ - track->pass.last_ns) > options_.lost_after;
    const bool stays = absl::Nanoseconds(now_ns_ - track->pass.first_ns) > options_.longest_pass;
    if ((lost || stays) && !track->told) {
      if (auto pass = Tell(&*track)) told.push_back(*std::move(pass));
    }
    if (lost && track->known) Remember(track->vote.Result().text(), track->pass.last_ns);
    track = lost ? tracks_.erase(track) : track + 1;
  }
  return told;
}

std::vector<Pass> Tracker::Flush() {
  std::vector<Pass> told;
  for (Track& track : tracks_) {
    if (!track.told) {
      if (auto pass = Tell(&track)) told.push_back(*std::move(pass));
    }
    // What stands still was seen until now, whenever it was told.
    if (track.known) Remember(track.vote.Result().text(), track.pass.last_ns);
  }
  tracks_.clear();
  return told;
}

// What was told counts as told now at the latest.
std::vector<Pass> Tracker::BeginAt(int64_t capture_ns) {
  std::vector<Pass> told = Flush();
  for (auto& [text, last_ns] : told_) last_ns = std::min(last_ns, capture_ns);
  now_ns_ = capture_ns;
  return told;
}

bool Tracker::ToldLately(const std::string& text, int64_t first_ns) const {
  const int64_t again = absl::ToInt64Nanoseconds(options_.again_after);
  return std::any_of(told_.begin(), told_.end(), [&](const auto& told) {
    return told.first == text && first_ns - told.second <= again;
  });
}

void Tracker::Remember(const std::string& text, int64_t last_ns) {
  const auto same = std::find_if(told_.begin(), told_.end(),
                                 [&](const auto& told) { return told.first == text; });
  if (same != told_.end()) {
    same->second = last_ns;
    return;
  }
  if (told_.size() == kMostRemembered) told_.pop_front();
  told_.emplace_back(text, last_ns);
}

std::optional<Pass> Tracker::Tell(Track* track) {
  track->told = true;
  Pass& pass = track->pass;
  pass.reading = track->vote.Result();
  pass.alternatives = track->vote.Alternatives(kMostAlternatives);
  const float height = std::max(track->first.height(), 1.0F);
  pass.moved_x = (MiddleX(track->last) - MiddleX(track->first)) / height;
  pass.moved_y = (MiddleY(track->last) - MiddleY(track->first)) / height;
  if (pass.seen < options_.least_seen || pass.reading.characters.empty() ||
      pass.reading.confidence < options_.least_confidence) {
    ++counters_.doubtful;
    return std::nullopt;
  }
  const std::string text = pass.reading.text();
  track->known = true;
  const bool repeated = ToldLately(text, pass.first_ns);
  Remember(text, pass.last_ns);
  if (repeated) {
    ++counters_.repeats;
    return std::nullopt;
  }
  return std::move(pass);
}

}  // namespace viaduct::hailo_lpr
