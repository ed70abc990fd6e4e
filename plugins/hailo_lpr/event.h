// What is told of a picture or of a vehicle that has passed: the payload of a detection
// (docs/WIRE.md, "Detection").
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "opencv2/core.hpp"
#include "plugins/hailo_lpr/analyser.h"
#include "plugins/hailo_lpr/reading.h"

namespace viaduct::hailo_lpr {

struct EventPlate {
  Box box;
  Reading reading;
  std::string grammar;
  std::vector<std::pair<std::string, float>> alternatives;
  std::string crop;  // JPEG; "": none.
  // Of a pass. Times of capture.
  int seen = 0;  // Pictures; 0: it is no pass.
  int64_t first_ns = 0;
  int64_t last_ns = 0;
  std::string direction;
};

struct PlateEvent {
  std::string camera_id;  // "", as the checkpoint: who asked knows.
  std::string checkpoint_id;
  int64_t capture_ns = 0;  // Unix: when the light fell in; 0: nobody has said.
  cv::Size size;           // Of the picture, whose pixels the boxes are.
  std::vector<Vehicle> vehicles;
  std::vector<EventPlate> plates;
  StageTimes times;
  std::string annotated;  // JPEG; "": none.
};

// What an answer to viaduct.infer/1 says beside: everything that was looked at.
struct Candidates {
  const Analysis* analysis = nullptr;
  size_t readings = 0;  // Of each.
};

// Without images, as they go with an answer to viaduct.infer/1.
std::string ResultJson(const PlateEvent& event, const Candidates& candidates);

// With images, a message id that is the same for the same event, and when it was sent.
std::string DetectionJson(const PlateEvent& event, int64_t sent_ns);

// A UUID of camera, time of capture and what was read: a picture that is read again is no other
// event.
std::string MessageId(const PlateEvent& event);

}  // namespace viaduct::hailo_lpr
