#include "plugins/hailo_lpr/looks.h"

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <utility>

namespace viaduct::hailo_lpr {
namespace {

constexpr float kTurn = 0.035F;  // As a slope: two degrees.
constexpr float kLower = 0.08F;  // Of the height of the line.
// A mean above or below them will hardly change: no other look is worth its time.
constexpr float kSettled = 0.96F;
constexpr float kHopeless = 0.3F;

// The height of the line stays, so that of its box does not.
Detection Turned(Detection line, float by) {
  const float height = LineHeight(line.box, line.slope);
  line.slope += by;
  const float more = (height - LineHeight(line.box, line.slope)) / 2;
  line.box.top -= more;
  line.box.bottom += more;
  return line;
}

Detection Lower(Detection line) {
  line.box = Moved(line.box, 0, kLower * std::max(LineHeight(line.box, line.slope), 0.0F));
  return line;
}

// The plate, its lines and its other cuts alike.
Detection All(Detection plate, const std::function<Detection(Detection)>& otherwise) {
  for (auto* parts : {&plate.lines, &plate.looks}) {
    for (Detection& part : *parts) part = All(std::move(part), otherwise);
  }
  return otherwise(std::move(plate));
}

std::array<Detection, kMoreLooks> Looks(const Detection& plate) {
  return {All(plate, [](Detection line) { return Turned(std::move(line), kTurn); }),
          All(plate, [](Detection line) { return Turned(std::move(line), -kTurn); }),
          All(plate, Lower)};
}

// What all looks said of a plate.
class Mean {
 public:
  void Add(const std::vector<Reading>& readings) {
    ++looks_;
    for (const Reading& reading : readings) {
      if (reading.characters.empty()) continue;
      Said& said = SaidAs(reading.text());
      if (reading.confidence > said.best.confidence) said.best = reading;
      said.sum += reading.confidence;
    }
  }

  bool IsSettled() const {
    float most = 0;
    for (const Said& said : texts_) most = std::max(most, said.sum / static_cast<float>(looks_));
    return most < kHopeless || most >= kSettled;
  }

  std::vector<Reading> Readings() const {
    const auto looks = static_cast<float>(looks_);
    std::vector<Reading> readings;
    for (const Said& said : texts_) {
      Reading& reading = readings.emplace_back(said.best);
      reading.confidence = said.sum / looks;
    }
    KeepLikeliest(&readings);
    return readings;
  }

 private:
  struct Said {
    std::string text;
    Reading best;
    float sum = 0;
  };

  Said& SaidAs(const std::string& text) {
    for (Said& said : texts_) {
      if (said.text == text) return said;
    }
    texts_.emplace_back().text = text;
    return texts_.back();
  }

  size_t looks_ = 0;
  std::vector<Said> texts_;
};

}  // namespace

absl::Status LookAgain(const cv::Mat& picture, const Detection& plate, Recogniser* reader,
                       std::vector<Reading>* readings) {
  Mean mean;
  mean.Add(*readings);
  for (const Detection& look : Looks(plate)) {
    std::vector<Reading> more;
    const absl::Status status = reader->Read(picture, look, &more);
    if (!status.ok()) return status;
    mean.Add(more);
    if (mean.IsSettled()) break;
  }
  *readings = mean.Readings();
  return absl::OkStatus();
}

}  // namespace viaduct::hailo_lpr
