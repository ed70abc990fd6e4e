#include "plugins/hailo_lpr/ctc.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace viaduct::hailo_lpr {
namespace {

constexpr size_t kBeams = 16;    // Prefixes that are followed at once.
constexpr size_t kFollowed = 6;  // Classes that are followed at one place.
constexpr double kLeast = 1e-3;  // Classes with less are not.

// A text up to a place.
struct Beam {
  double blank = 0;         // Probability of the ways that end in a blank,
  double other = 0;         // and of those that do not.
  std::vector<float> best;  // Of each character, so far.

  double both() const { return blank + other; }
};
using Prefix = std::vector<size_t>;
using Beams = std::map<Prefix, Beam>;

void Add(const Prefix& prefix, double blank, double other, const std::vector<float>& best,
         Beams* beams) {
  Beam& beam = (*beams)[prefix];
  beam.blank += blank;
  beam.other += other;
  if (beam.best.size() < best.size()) beam.best.resize(best.size());
  for (size_t i = 0; i < best.size(); ++i) beam.best[i] = std::max(beam.best[i], best[i]);
}

void Extend(const Prefix& prefix, const Beam& beam, const std::vector<double>& row,
            const std::vector<size_t>& followed, size_t blank, Beams* after) {
  for (const size_t index : followed) {
    const double share = row[index];
    const auto confidence = static_cast<float>(share);
    if (index == blank) {
      Add(prefix, beam.both() * share, 0, beam.best, after);
      continue;
    }
    const bool repeats = !prefix.empty() && prefix.back() == index;
    if (repeats) {
      std::vector<float> best = beam.best;
      best.back() = std::max(best.back(), confidence);
      Add(prefix, 0, beam.other * share, best, after);
    }
    Prefix longer = prefix;
    longer.push_back(index);
    std::vector<float> best = beam.best;
    best.push_back(confidence);
    Add(longer, 0, (repeats ? beam.blank : beam.both()) * share, best, after);
  }
}

std::vector<std::pair<Prefix, Beam>> Likeliest(Beams* beams, size_t limit) {
  std::vector<std::pair<Prefix, Beam>> kept(std::make_move_iterator(beams->begin()),
                                            std::make_move_iterator(beams->end()));
  std::stable_sort(kept.begin(), kept.end(),
                   [](const auto& a, const auto& b) { return a.second.both() > b.second.both(); });
  if (kept.size() > limit) kept.resize(limit);
  return kept;
}

std::vector<size_t> Followed(const std::vector<double>& row) {
  std::vector<size_t> order(row.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const size_t count = std::min(kFollowed, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(count), order.end(),
                    [&](size_t a, size_t b) { return row[a] > row[b]; });
  order.resize(count);
  while (order.size() > 1 && row[order.back()] < kLeast) order.pop_back();
  return order;
}

// False: a number that is none.
bool Softmax(float temperature, std::vector<double>* row) {
  const double most = *std::max_element(row->begin(), row->end());
  double sum = 0;
  for (double& value : *row) {
    value = std::exp((value - most) / static_cast<double>(temperature));
    sum += value;
  }
  for (double& value : *row) value /= sum;
  return std::isfinite(sum);
}

}  // namespace

absl::Status DecodeCtc(const Tensor& output, const CtcOptions& options,
                       std::vector<Reading>* readings) {
  readings->clear();
  const size_t classes = options.alphabet.size() + 1;
  std::vector<int> sizes = output.shape.sizes;
  sizes.erase(std::remove(sizes.begin(), sizes.end(), 1), sizes.end());
  if (options.classes_first) std::reverse(sizes.begin(), sizes.end());
  if (sizes.size() != 2 || static_cast<size_t>(sizes[1]) != classes || options.blank >= classes ||
      output.values.size() != output.shape.elements()) {
    return absl::InvalidArgumentError(absl::StrCat("model: output ", output.name, " is ",
                                                   absl::StrJoin(output.shape.sizes, "x"),
                                                   ", not places of ", classes));
  }
  const auto places = static_cast<size_t>(sizes[0]);
  std::vector<std::pair<Prefix, Beam>> beams = {{{}, {1, 0, {}}}};
  std::vector<double> row(classes);
  for (size_t place = 0; place < places; ++place) {
    for (size_t i = 0; i < classes; ++i) {
      const size_t at = options.classes_first ? i * places + place : place * classes + i;
      row[i] = static_cast<double>(output.values[at]);
    }
    const bool good = options.logits ? Softmax(options.temperature, &row)
                                     : std::all_of(row.begin(), row.end(), [](double value) {
                                         return value >= 0 && value <= 1.01;
                                       });
    if (!good) return absl::InvalidArgumentError("model: an output that is no probability");
    const std::vector<size_t> followed = Followed(row);
    if (followed.size() == 1 && followed[0] == options.blank) {  // As at most places.
      for (auto& [prefix, beam] : beams) {
        beam.blank = beam.both() * row[options.blank];
        beam.other = 0;
      }
      continue;
    }
    Beams after;
    for (const auto& [prefix, beam] : beams) {
      Extend(prefix, beam, row, followed, options.blank, &after);
    }
    beams = Likeliest(&after, kBeams);
  }
  for (const auto& [prefix, beam] : beams) {
    if (readings->size() == kMostReadings) break;
    if (prefix.empty() && !readings->empty()) continue;
    Reading reading;
    reading.confidence = prefix.empty() ? 0 : static_cast<float>(std::min(beam.both(), 1.0));
    for (size_t i = 0; i < prefix.size(); ++i) {
      const size_t index = prefix[i] < options.blank ? prefix[i] : prefix[i] - 1;
      reading.characters.push_back({options.alphabet[index], beam.best[i]});
    }
    readings->push_back(std::move(reading));
  }
  return absl::OkStatus();
}

}  // namespace viaduct::hailo_lpr
