#include "plugins/hailo_lpr/slots.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "plugins/hailo_lpr/ctc.h"

namespace viaduct::hailo_lpr {
namespace {

constexpr size_t kFollowed = 4;  // Classes of one slot that are followed,
constexpr size_t kKept = 32;     // texts up to a slot,
constexpr float kLeast = 1e-3F;  // and classes with at least that.
constexpr float kMostProbability = 1.01F;

// A text up to a slot.
struct Way {
  std::vector<size_t> classes;  // One for each slot.
  float probability = 1;
};

std::vector<size_t> Followed(const float* slot, size_t classes) {
  std::vector<size_t> order(classes);
  std::iota(order.begin(), order.end(), size_t{0});
  const size_t count = std::min(kFollowed, classes);
  std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(count), order.end(),
                    [&](size_t a, size_t b) { return slot[a] > slot[b]; });
  order.resize(count);
  while (order.size() > 1 && slot[order.back()] < kLeast) order.pop_back();
  return order;
}

std::vector<Way> LikeliestWays(const std::vector<float>& values, size_t classes) {
  std::vector<Way> ways(1);
  for (size_t at = 0; at < values.size(); at += classes) {
    const float* slot = &values[at];
    const std::vector<size_t> followed = Followed(slot, classes);
    std::vector<Way> longer;
    for (const Way& way : ways) {
      for (const size_t index : followed) {
        longer.push_back(way);
        longer.back().classes.push_back(index);
        longer.back().probability *= slot[index];
      }
    }
    std::stable_sort(longer.begin(), longer.end(),
                     [](const Way& a, const Way& b) { return a.probability > b.probability; });
    if (longer.size() > kKept) longer.resize(kKept);
    ways = std::move(longer);
  }
  return ways;
}

// Without what fills up.
Reading Read(const Way& way, const std::vector<float>& values, const SlotOptions& options) {
  const size_t classes = options.alphabet.size();
  Reading reading;
  reading.confidence = std::min(way.probability, 1.0F);
  for (size_t slot = 0; slot < way.classes.size(); ++slot) {
    const size_t index = way.classes[slot];
    if (options.alphabet[index] == options.padding) continue;
    reading.characters.push_back({options.alphabet[index], values[slot * classes + index]});
  }
  return reading;
}

absl::Status Check(const Tensor& output, const SlotOptions& options) {
  const size_t classes = options.alphabet.size();
  const size_t count = output.values.size();
  const std::vector<int>& sizes = output.shape.sizes;
  const bool fits =
      !sizes.empty() && classes > 0 && count > 0 && count == output.shape.elements() &&
      count % classes == 0 && count / classes <= kMostSlots &&
      (static_cast<size_t>(sizes.back()) == classes || static_cast<size_t>(sizes.back()) == count);
  if (!fits) {
    return absl::InvalidArgumentError(absl::StrCat("model: output ", output.name, " is ",
                                                   absl::StrJoin(sizes, "x"), ", not slots of ",
                                                   classes));
  }
  const bool good = std::all_of(output.values.begin(), output.values.end(), [](float value) {
    return value >= 0 && value <= kMostProbability;
  });
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError("model: an output that is no probability");
}

}  // namespace

absl::Status DecodeSlots(const Tensor& output, const SlotOptions& options,
                         std::vector<Reading>* readings) {
  readings->clear();
  if (absl::Status fits = Check(output, options); !fits.ok()) return fits;
  std::map<std::string, size_t> places;  // Of a text that fills up elsewhere.
  for (const Way& way : LikeliestWays(output.values, options.alphabet.size())) {
    Reading reading = Read(way, output.values, options);
    const std::string text = reading.text();
    const auto found = places.find(text);
    if (found != places.end()) {
      float& confidence = (*readings)[found->second].confidence;
      confidence = std::min(confidence + reading.confidence, 1.0F);
      continue;
    }
    if (text.empty() && !readings->empty()) continue;
    if (text.empty()) reading.confidence = 0;
    places[text] = readings->size();
    readings->push_back(std::move(reading));
  }
  std::stable_sort(readings->begin() + (readings->front().characters.empty() ? 1 : 0),
                   readings->end(),
                   [](const Reading& a, const Reading& b) { return a.confidence > b.confidence; });
  if (readings->size() > kMostReadings) readings->resize(kMostReadings);
  return absl::OkStatus();
}

}  // namespace viaduct::hailo_lpr
