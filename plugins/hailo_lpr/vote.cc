#include "plugins/hailo_lpr/vote.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace viaduct::hailo_lpr {
namespace {

// A reading that is worth nothing would have no vote; one of the sort says that something is there.
constexpr float kLeastBelief = 0.01F;
// Pictures of one pass look alike, and so do their mistakes: each further one that agrees takes
// away this share of the doubt that its own confidence would.
constexpr double kIndependence = 0.3;

}  // namespace

void Vote::Add(const Reading& reading) {
  if (reading.characters.empty()) return;
  const float belief = std::max(reading.confidence, kLeastBelief);
  ++readings_;
  belief_ += belief;
  if (!reading.province.empty() &&
      (provinces_.size() < kMostTexts || provinces_.count(reading.province) > 0)) {
    Votes& votes = provinces_[reading.province];
    votes.belief += std::max(reading.province_confidence, kLeastBelief);
    votes.best = std::max(votes.best, reading.province_confidence);
  }
  const std::string text = reading.text();
  const auto same = std::find_if(candidates_.begin(), candidates_.end(),
                                 [&](const Candidate& one) { return one.text == text; });
  if (same != candidates_.end()) {
    same->belief += belief;
    ++same->count;
    if (reading.confidence > same->best.confidence) same->best = reading;
    return;
  }
  if (candidates_.size() == kMostTexts) {
    candidates_.erase(std::min_element(
        candidates_.begin(), candidates_.end(),
        [](const Candidate& a, const Candidate& b) { return a.belief < b.belief; }));
  }
  candidates_.push_back({text, reading, belief, 1});
}

size_t Vote::CommonestLength() const {
  std::map<size_t, float> belief;
  for (const Candidate& one : candidates_) belief[one.best.characters.size()] += one.belief;
  return std::max_element(belief.begin(), belief.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

Reading Vote::Result() const {
  Reading result;
  if (candidates_.empty()) return result;
  const size_t length = CommonestLength();
  float sum_of_parts = 1;  // Where no picture was read so as a whole.
  for (size_t at = 0; at < length; ++at) {
    std::map<std::string, float> belief;
    float all = 0;
    for (const Candidate& one : candidates_) {
      if (one.best.characters.size() != length) continue;
      const Character& character = one.best.characters[at];
      const float weight = one.belief * std::max(character.confidence, kLeastBelief);
      belief[character.text] += weight;
      all += weight;
    }
    const auto most =
        std::max_element(belief.begin(), belief.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    const float share = most->second / all;
    result.characters.push_back({most->first, share});
    sum_of_parts *= share * share / (share * share + (1 - share) * (1 - share));
  }
  const float whole = ConfidenceOf(result.text());
  result.confidence = whole > 0 ? whole : sum_of_parts;
  AddProvince(&result);
  return result;
}

void Vote::AddProvince(Reading* result) const {
  if (provinces_.empty()) return;
  const auto most = std::max_element(
      provinces_.begin(), provinces_.end(),
      [](const auto& a, const auto& b) { return a.second.belief < b.second.belief; });
  float all = 0;
  for (const auto& [name, votes] : provinces_) all += votes.belief;
  result->province = most->first;
  result->province_confidence = most->second.best * most->second.belief / all;
}

float Vote::ConfidenceOf(const std::string& text) const {
  const auto same = std::find_if(candidates_.begin(), candidates_.end(),
                                 [&](const Candidate& one) { return one.text == text; });
  if (same == candidates_.end()) return 0;
  const double best = std::min(static_cast<double>(same->best.confidence), 0.9999);
  const double mean =
      std::min(static_cast<double>(same->belief / static_cast<float>(same->count)), 0.9999);
  const double doubt =
      std::log1p(-best) + kIndependence * static_cast<double>(same->count - 1) * std::log1p(-mean);
  const double agreed = 1 - std::exp(doubt);
  return static_cast<float>(agreed * static_cast<double>(same->belief / belief_));
}

std::vector<std::pair<std::string, float>> Vote::Alternatives(size_t limit) const {
  const std::string chosen = Result().text();
  std::vector<std::pair<std::string, float>> others;
  for (const Candidate& one : candidates_) {
    if (one.text != chosen) others.emplace_back(one.text, one.belief / belief_);
  }
  std::stable_sort(others.begin(), others.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  if (others.size() > limit) others.resize(limit);
  return others;
}

}  // namespace viaduct::hailo_lpr
