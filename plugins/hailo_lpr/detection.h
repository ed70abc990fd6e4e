// What a detector finds in a picture. Pixels of the picture, x to the right and y down; the right
// and lower edges are outside.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace cv {
class Mat;
}

namespace viaduct::hailo_lpr {

struct Box {
  float left = 0;
  float top = 0;
  float right = 0;
  float bottom = 0;

  float width() const { return right - left; }
  float height() const { return bottom - top; }
  float area() const { return std::max(width(), 0.0F) * std::max(height(), 0.0F); }
};

inline Box Moved(const Box& box, float x, float y) {
  return {box.left + x, box.top + y, box.right + x, box.bottom + y};
}

// Of a line in an upright box: the box is as much higher as the slope over its width adds.
inline float LineHeight(const Box& box, float slope) {
  return box.height() - std::abs(slope) * box.width();
}

// Intersection over union: 0 of boxes apart, 1 of the same box.
inline float Iou(const Box& a, const Box& b) {
  const Box both = {std::max(a.left, b.left), std::max(a.top, b.top), std::min(a.right, b.right),
                    std::min(a.bottom, b.bottom)};
  if (both.width() <= 0 || both.height() <= 0) return 0;
  const float common = both.area();
  return common / (a.area() + b.area() - common);
}

struct Detection {
  Box box;
  // Of detectors with a model 0 to 1; of the others it only orders.
  float score = 0;
  int label = 0;
  // How much the line of characters rises to the left, in y for each x.
  float slope = 0;
  size_t characters = 0;  // Of a line that was found by its characters: how many.
  // Of a plate with stacked lines: each, from above to below. Empty: the box is one line.
  std::vector<Detection> lines;
  // The same plate cut otherwise, as lines of characters; all are read.
  std::vector<Detection> looks;
  // Where words may stand that are no line of characters: the province.
  std::vector<Detection> words;
};

// The same in a picture of which this one is a part that begins at x and y.
inline Detection Moved(Detection found, float x, float y) {
  found.box = Moved(found.box, x, y);
  for (auto* parts : {&found.lines, &found.looks, &found.words}) {
    for (Detection& part : *parts) part = Moved(std::move(part), x, y);
  }
  return found;
}

// The margin that detectors of lines leave around the characters, in heights of a character.
inline constexpr float kLineMargin = 0.45F;

// Of those that overlap by more than `most`, the one with the highest score stays; at most `limit`
// stay, the highest score first.
inline void KeepBest(float most, size_t limit, std::vector<Detection>* found) {
  std::stable_sort(found->begin(), found->end(),
                   [](const Detection& a, const Detection& b) { return a.score > b.score; });
  std::vector<Detection> kept;
  for (const Detection& one : *found) {
    if (kept.size() == limit) break;
    const bool covered = std::any_of(kept.begin(), kept.end(), [&](const Detection& better) {
      return better.label == one.label && Iou(better.box, one.box) > most;
    });
    if (!covered) kept.push_back(one);
  }
  *found = std::move(kept);
}

// Finds plates, or vehicles. Constant memory between pictures. One thread at a time.
class Detector {
 public:
  virtual ~Detector() = default;
  // `picture` has 8 bits a channel, grey or BGR. The best first.
  virtual absl::Status Detect(const cv::Mat& picture, std::vector<Detection>* found) = 0;
};

}  // namespace viaduct::hailo_lpr
