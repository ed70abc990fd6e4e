#include "plugins/hailo_lpr/analyser.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "opencv2/imgproc.hpp"
#include "plugins/hailo_lpr/looks.h"

namespace viaduct::hailo_lpr {
namespace {

constexpr float kMostCommon = 0.4F;  // IoU of boxes that are one plate.
constexpr float kInside = 0.5F;      // That much of the smaller box in the larger: one plate.
// Of plates have a form; fewer do not outweigh the words and numbers in a street that have it too.
constexpr double kUsualForm = 0.045;
constexpr float kUnusual = 0.5F;         // What is left of the confidence of the others.
constexpr float kVehicleMargin = 0.05F;  // Plates stand out of the boxes of vehicles.
// Readings between them are in doubt: a further look may tell.
constexpr float kLeastDoubted = 0.2F;
constexpr float kMostDoubted = 0.98F;

// Measures from its making, or from the last lap.
class Stopwatch {
 public:
  double LapMs() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double, std::milli>(now - std::exchange(begin_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// How much of the smaller box lies in the other.
float Covered(const Box& a, const Box& b) {
  const Box both = {std::max(a.left, b.left), std::max(a.top, b.top), std::min(a.right, b.right),
                    std::min(a.bottom, b.bottom)};
  if (both.width() <= 0 || both.height() <= 0) return 0;
  return both.area() / std::max(std::min(a.area(), b.area()), 1.0F);
}

cv::Rect Around(const Box& box, const cv::Size& size) {
  const float margin = kVehicleMargin * std::max(box.width(), box.height());
  const cv::Rect rect(
      cv::Point(static_cast<int>(box.left - margin), static_cast<int>(box.top - margin)),
      cv::Point(static_cast<int>(std::ceil(box.right + margin)),
                static_cast<int>(std::ceil(box.bottom + margin))));
  return rect & cv::Rect(cv::Point(), size);
}

// The same plate found twice is told once, by its better reading.
void AcceptOnce(std::vector<PlateSeen>* plates) {
  for (PlateSeen& one : *plates) {
    for (const PlateSeen& other : *plates) {
      if (&one == &other || !one.accepted || !other.accepted) continue;
      if (Covered(one.plate.box, other.plate.box) < kInside) continue;
      // A form of a grammar before none; of two equal ones the first.
      const auto rank = [](const PlateSeen& seen) {
        return std::make_tuple(!seen.grammar.empty(), seen.readings[0].confidence);
      };
      if (rank(one) < rank(other) || (rank(one) == rank(other) && &one > &other)) {
        one.accepted = false;
      }
    }
  }
}

}  // namespace

absl::Status Analyser::Analyse(const cv::Mat& picture, const Request& request, Analysis* out) try {
  out->size = picture.size();
  out->vehicles.clear();
  out->plates.clear();
  out->min_confidence =
      request.min_confidence.value_or(options_.min_confidence.value_or(models_.reject_below));
  Stopwatch watch;
  const bool in_vehicles = UsesVehicles(request.own_source);
  if (in_vehicles) {
    const absl::Status status = FindVehicles(picture, out);
    if (!status.ok()) return status;
  }
  out->times.vehicles = watch.LapMs();
  absl::Status status = FindPlates(picture, in_vehicles, out);
  out->times.plates = watch.LapMs();
  if (status.ok()) status = Read(picture, out);
  out->times.read = watch.LapMs();
  return status;
} catch (const cv::Exception& error) {
  return absl::InternalError(absl::StrCat("picture: ", error.err));
}

bool Analyser::UsesVehicles(bool own_source) const {
  if (models_.vehicles == nullptr) return false;
  return own_source || !models_.vehicles_by_motion;
}

absl::Status Analyser::FindVehicles(const cv::Mat& picture, Analysis* out) {
  const absl::Status status = models_.vehicles->Detect(picture, &found_);
  if (!status.ok()) return status;
  for (const Detection& one : found_) {
    if (one.box.width() < static_cast<float>(options_.min_vehicle_width)) continue;
    std::string label = "vehicle";
    if (!models_.vehicle_labels.empty()) {
      const auto number = static_cast<size_t>(one.label);
      if (number >= models_.vehicle_labels.size()) continue;
      label = models_.vehicle_labels[number];
    }
    if (!label.empty()) out->vehicles.push_back({one.box, one.score, std::move(label)});
  }
  return absl::OkStatus();
}

absl::Status Analyser::FindPlatesIn(const cv::Mat& picture, const cv::Rect& part,
                                    std::vector<Detection>* found) {
  if (part.empty()) return absl::OkStatus();
  const absl::Status status = models_.plates->Detect(picture(part), &found_);
  if (!status.ok()) return status;
  const auto x = static_cast<float>(part.x);
  const auto y = static_cast<float>(part.y);
  for (const Detection& there : found_) {
    Detection one = Moved(there, x, y);
    if (Counts(one, picture.size())) found->push_back(std::move(one));
  }
  return absl::OkStatus();
}

absl::Status Analyser::FindPlates(const cv::Mat& picture, bool in_vehicles, Analysis* out) {
  std::vector<cv::Rect> parts;
  if (!in_vehicles) parts.emplace_back(cv::Point(), picture.size());
  for (const Vehicle& vehicle : out->vehicles) {
    if (in_vehicles) parts.push_back(Around(vehicle.box, picture.size()));
  }
  std::vector<Detection> all;
  for (const cv::Rect& part : parts) {
    const absl::Status status = FindPlatesIn(picture, part, &all);
    if (!status.ok()) return status;
  }
  KeepBest(kMostCommon, kMostPlates, &all);
  for (const Detection& one : all) {
    out->plates.emplace_back();
    out->plates.back().plate = one;
  }
  return absl::OkStatus();
}

bool Analyser::Counts(const Detection& plate, const cv::Size& size) const {
  const Box& box = plate.box;
  if (box.width() < static_cast<float>(options_.min_width) ||
      box.height() < static_cast<float>(options_.min_height)) {
    return false;
  }
  if (options_.region.empty()) return true;
  const cv::Point2f middle((box.left + box.right) / 2 / static_cast<float>(size.width),
                           (box.top + box.bottom) / 2 / static_cast<float>(size.height));
  return cv::pointPolygonTest(options_.region, middle, /*measureDist=*/false) >= 0;
}

absl::Status Analyser::Read(const cv::Mat& picture, Analysis* out) {
  for (PlateSeen& seen : out->plates) {
    const absl::Status status = models_.reader->Read(picture, seen.plate, &seen.readings);
    if (!status.ok()) return status;
    Choose(&seen);
  }
  const absl::Status status = LookAgainAtDoubted(picture, out);
  if (!status.ok()) return status;
  for (PlateSeen& seen : out->plates) {
    if (seen.readings.empty()) continue;
    const absl::Status added = models_.reader->AddProvince(picture, seen.plate, &seen.readings);
    if (!added.ok()) return added;
    DoubtUnusual(&seen);
    const bool known = !options_.require_grammar || !seen.grammar.empty();
    seen.accepted = known && seen.readings[0].confidence >= out->min_confidence;
  }
  AcceptOnce(&out->plates);
  return absl::OkStatus();
}

// The likeliest of them, for each look takes the time of a reading.
absl::Status Analyser::LookAgainAtDoubted(const cv::Mat& picture, Analysis* out) {
  std::vector<PlateSeen*> doubted;
  for (PlateSeen& seen : out->plates) {
    if (seen.readings.empty()) continue;
    const float confidence = seen.readings[0].confidence;
    if (confidence >= kLeastDoubted && confidence < kMostDoubted) doubted.push_back(&seen);
  }
  std::stable_sort(doubted.begin(), doubted.end(), [](const PlateSeen* a, const PlateSeen* b) {
    return a->readings[0].confidence > b->readings[0].confidence;
  });
  const auto most = static_cast<size_t>(options_.looked_at_again);
  if (doubted.size() > most) doubted.resize(most);
  for (PlateSeen* seen : doubted) {
    const absl::Status status =
        LookAgain(picture, seen->plate, models_.reader.get(), &seen->readings);
    if (!status.ok()) return status;
    Choose(seen);
  }
  return absl::OkStatus();
}

// The reading that the grammars like best comes to the front.
void Analyser::Choose(PlateSeen* seen) const {
  seen->grammar.clear();
  // "Nothing" may be the likeliest of all.
  if (!seen->readings.empty() && seen->readings[0].characters.empty()) seen->readings.clear();
  if (seen->readings.empty()) return;
  double most = 0;
  size_t index = 0;
  for (const Grammar& grammar : models_.grammars) {
    const Grammar::Choice choice = grammar.Choose(seen->readings);
    if (!choice.matched) continue;
    const Reading& reading = seen->readings[choice.index];
    const double score = static_cast<double>(reading.confidence) * grammar.WeightOf(reading.text());
    if (score <= most) continue;
    most = score;
    index = choice.index;
    seen->grammar = grammar.name();
  }
  // The others stay in their order.
  const auto chosen = seen->readings.begin() + static_cast<ptrdiff_t>(index);
  std::rotate(seen->readings.begin(), chosen, chosen + 1);
}

// Words and numbers of the street fit a rare form, or none.
void Analyser::DoubtUnusual(PlateSeen* seen) const {
  if (models_.grammars.empty()) return;
  for (const Grammar& grammar : models_.grammars) {
    if (grammar.name() != seen->grammar) continue;
    if (grammar.OwnWeightOf(seen->readings[0].text()) >= kUsualForm) return;
  }
  for (Reading& reading : seen->readings) reading.confidence *= kUnusual;
}

}  // namespace viaduct::hailo_lpr
