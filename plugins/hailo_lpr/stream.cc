#include "plugins/hailo_lpr/stream.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "plugins/hailo_lpr/drawing.h"

namespace viaduct::hailo_lpr {

// A picture as long as a pass may show it: whole while it is looked at, then as JPEG.
struct Scene {
  int64_t capture_ns = 0;
  cv::Size size;
  std::vector<Vehicle> vehicles;
  StageTimes times;
  std::string annotated;
};

namespace {

constexpr float kLeastMove = 1;  // In heights of the plate.

class EncodeTime {
 public:
  explicit EncodeTime(StageTimes* times) : times_(times) {}
  ~EncodeTime() {
    const auto spent = std::chrono::steady_clock::now() - begin_;
    times_->encode += std::chrono::duration<double, std::milli>(spent).count();
  }
  EncodeTime(const EncodeTime&) = delete;
  EncodeTime& operator=(const EncodeTime&) = delete;

 private:
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  StageTimes* const times_;
};

std::string AnnotatedJpeg(const cv::Mat& picture, const Analysis& analysis,
                          const EventOptions& options) {
  if (!options.annotated_image) return {};
  std::vector<Box> boxes;
  for (const PlateSeen& seen : analysis.plates) {
    if (seen.accepted) boxes.push_back(seen.plate.box);
  }
  return EncodeJpeg(Annotate(picture, analysis.vehicles, boxes, options.image_width),
                    options.jpeg_quality);
}

std::vector<Sighting> SightingsOf(const cv::Mat& picture, const Analysis& analysis,
                                  const std::shared_ptr<Scene>& scene) {
  std::vector<Sighting> sightings;
  for (const PlateSeen& seen : analysis.plates) {
    if (seen.readings.empty()) continue;
    Sighting sighting;
    sighting.plate = seen.plate;
    sighting.reading = seen.readings[0];
    sighting.grammar = seen.grammar;
    sighting.picture = CropPlate(picture, seen.plate.box);
    sighting.quality = QualityOf(sighting.picture);
    sighting.scene = scene;
    sightings.push_back(std::move(sighting));
  }
  return sightings;
}

bool Contains(const Box& vehicle, const Box& plate) {
  const float x = (plate.left + plate.right) / 2;
  const float y = (plate.top + plate.bottom) / 2;
  return x >= vehicle.left && x <= vehicle.right && y >= vehicle.top && y <= vehicle.bottom;
}

}  // namespace

std::string DirectionOf(const Pass& pass) {
  const float x = std::abs(pass.moved_x);
  const float y = std::abs(pass.moved_y);
  if (std::max(x, y) < kLeastMove) return {};
  if (y >= x) return pass.moved_y > 0 ? "down" : "up";
  return pass.moved_x > 0 ? "right" : "left";
}

std::vector<PlateEvent> PictureStream::Add(int64_t capture_ns, const cv::Mat& picture,
                                           Analysis* analysis) {
  auto scene = std::make_shared<Scene>();
  scene->capture_ns = capture_ns;
  scene->size = analysis->size;
  scene->vehicles = analysis->vehicles;
  std::vector<Pass> passes;
  {
    const EncodeTime time(&analysis->times);
    passes = tracker_.Update(capture_ns, SightingsOf(picture, *analysis, scene));
    // Some pass has it as its best one.
    if (scene.use_count() > 1) scene->annotated = AnnotatedJpeg(picture, *analysis, options_);
  }
  scene->times = analysis->times;
  return EventsOf(std::move(passes));
}

std::vector<PlateEvent> PictureStream::End() { return EventsOf(tracker_.Flush()); }

PictureStream::Counters PictureStream::counters() const {
  return {tracker_.counters().repeats, tracker_.counters().doubtful, other_way_};
}

std::vector<PlateEvent> PictureStream::EventsOf(std::vector<Pass> passes) {
  constexpr const char* kWays[] = {"", "down", "up", "left", "right"};
  std::vector<PlateEvent> events;
  for (Pass& pass : passes) {
    const std::string direction = DirectionOf(pass);
    if (direction_ != Direction::kAny && direction != kWays[static_cast<int>(direction_)]) {
      ++other_way_;
      continue;
    }
    const Scene& scene = *pass.best.scene;
    PlateEvent event;
    event.capture_ns = scene.capture_ns;
    event.size = scene.size;
    event.times = scene.times;
    event.annotated = scene.annotated;
    for (const Vehicle& vehicle : scene.vehicles) {
      if (Contains(vehicle.box, pass.best.plate.box)) event.vehicles.push_back(vehicle);
    }
    EventPlate plate;
    plate.box = pass.best.plate.box;
    plate.grammar = pass.best.grammar;
    plate.reading = std::move(pass.reading);
    plate.alternatives = std::move(pass.alternatives);
    if (options_.cropped_plates && !pass.best.picture.empty()) {
      plate.crop = EncodeJpeg(pass.best.picture, options_.jpeg_quality);
    }
    plate.seen = pass.seen;
    plate.first_ns = pass.first_ns;
    plate.last_ns = pass.last_ns;
    plate.direction = direction;
    event.plates.push_back(std::move(plate));
    events.push_back(std::move(event));
  }
  return events;
}

PlateEvent EventOf(int64_t capture_ns, const cv::Mat& picture, const EventOptions& options,
                   Analysis* analysis) {
  PlateEvent event;
  event.capture_ns = capture_ns;
  event.size = analysis->size;
  event.vehicles = analysis->vehicles;
  {
    const EncodeTime time(&analysis->times);
    for (const PlateSeen& seen : analysis->plates) {
      if (!seen.accepted) continue;
      EventPlate plate;
      plate.box = seen.plate.box;
      plate.reading = seen.readings[0];
      plate.grammar = seen.grammar;
      const size_t most = std::min(seen.readings.size(), 1 + Tracker::kMostAlternatives);
      for (size_t i = 1; i < most; ++i) {
        plate.alternatives.emplace_back(seen.readings[i].text(), seen.readings[i].confidence);
      }
      if (options.cropped_plates) {
        plate.crop = EncodeJpeg(CropPlate(picture, seen.plate.box), options.jpeg_quality);
      }
      event.plates.push_back(std::move(plate));
    }
    if (!event.plates.empty()) event.annotated = AnnotatedJpeg(picture, *analysis, options);
  }
  event.times = analysis->times;
  return event;
}

PlateEvent JoinEvents(std::vector<PlateEvent> events, int64_t capture_ns,
                      const Analysis& analysis) {
  if (events.size() == 1) return std::move(events[0]);
  PlateEvent all;
  all.capture_ns = capture_ns;
  all.size = analysis.size;
  all.times = analysis.times;
  for (PlateEvent& event : events) {
    for (EventPlate& plate : event.plates) all.plates.push_back(std::move(plate));
    for (Vehicle& vehicle : event.vehicles) all.vehicles.push_back(std::move(vehicle));
    if (all.annotated.empty()) all.annotated = std::move(event.annotated);
  }
  return all;
}

}  // namespace viaduct::hailo_lpr
