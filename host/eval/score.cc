#include "host/eval/score.h"

#include <algorithm>
#include <tuple>

namespace viaduct::eval {
namespace {

constexpr double kLeastIou = 0.5;
constexpr double kLeastCovered = 0.5;

double Covered(const Box& a, const Box& b) {
  const double smaller = std::min(a.area(), b.area());
  return smaller <= 0 ? 0 : Common(a, b) / smaller;
}

// The plate that a candidate is of, or as many as there are: none.
size_t OwnerOf(const Candidate& candidate, const std::vector<TruePlate>& plates) {
  size_t owner = plates.size();
  double most = kLeastCovered;
  for (size_t i = 0; i < plates.size(); ++i) {
    const double covered = Covered(candidate.box, plates[i].box);
    if (covered < most) continue;
    most = covered;
    owner = i;
  }
  return owner;
}

bool FoundAmong(const TruePlate& plate, const Answer& answer, size_t count) {
  const size_t end = std::min(count, answer.candidates.size());
  return std::any_of(answer.candidates.begin(),
                     answer.candidates.begin() + static_cast<ptrdiff_t>(end),
                     [&](const Candidate& one) { return Iou(one.box, plate.box) >= kLeastIou; });
}

void CountBand(const ReadText& reading, bool right, Tally* tally) {
  size_t index = 0;
  while (index + 1 < kBands.size() && reading.confidence > kBands[index]) ++index;
  Band& band = tally->bands[index];
  ++band.readings;
  band.right += right ? 1 : 0;
  band.confidence += reading.confidence;
}

// The most certain candidate with a reading of each plate; null: none. What belongs to no plate is
// counted as false.
std::vector<const Candidate*> Assign(const TruePicture& picture, const Answer& answer,
                                     PictureVerdict* verdict, Tally* tally) {
  std::vector<const Candidate*> best(picture.plates.size());
  for (const Candidate& one : answer.candidates) {
    if (one.readings.empty() || one.readings[0].text.empty()) continue;
    const ReadText& reading = one.readings[0];
    const size_t owner = OwnerOf(one, picture.plates);
    const bool owned = owner < picture.plates.size();
    CountBand(reading, owned && Folded(reading.text) == Folded(picture.plates[owner].text), tally);
    if (!owned) {
      ++tally->false_readings;
      if (!one.accepted) continue;
      ++tally->false_plates;
      verdict->false_plates.push_back(reading.text);
      continue;
    }
    const Candidate*& other = best[owner];
    // What would be told comes before what would not, and a form of a grammar before others.
    const auto rank = [](const Candidate& c) {
      const ReadText& best = c.readings[0];
      return std::make_tuple(c.accepted, !best.grammar.empty(), best.confidence);
    };
    if (other == nullptr || rank(one) > rank(*other)) other = &one;
  }
  return best;
}

void CountText(const std::string& right, const std::string& read, Tally* tally) {
  tally->characters += Characters(right).size();
  for (const auto& change : Changes(Folded(right), Folded(read))) {
    ++tally->mistakes;
    if (!read.empty()) ++tally->mixed[change];
  }
}

void CountProvince(const TruePlate& plate, const PictureVerdict::Plate& seen, Tally* tally) {
  if (plate.province.empty() || seen.read != plate.text) return;
  ++tally->provinces;
  tally->province_given += seen.read_province.empty() ? 0 : 1;
  tally->province_right += seen.read_province == plate.province ? 1 : 0;
}

}  // namespace

PictureVerdict Compare(const TruePicture& picture, const Answer& answer, Tally* tally) {
  PictureVerdict verdict;
  verdict.name = picture.name;
  ++tally->images;
  const std::vector<const Candidate*> best = Assign(picture, answer, &verdict, tally);
  for (size_t i = 0; i < picture.plates.size(); ++i) {
    const TruePlate& plate = picture.plates[i];
    PictureVerdict::Plate seen;
    seen.text = plate.text;
    seen.province = plate.province;
    seen.found = FoundAmong(plate, answer, kBest);
    if (best[i] != nullptr) {
      seen.read = best[i]->readings[0].text;
      seen.confidence = best[i]->readings[0].confidence;
      seen.read_province = best[i]->readings[0].province;
      seen.told = best[i]->accepted;
    }
    seen.equal = Folded(seen.read) == Folded(plate.text);
    ++tally->plates;
    tally->found_best += FoundAmong(plate, answer, picture.plates.size()) ? 1 : 0;
    tally->found_five += seen.found ? 1 : 0;
    tally->exact += seen.read == plate.text ? 1 : 0;
    tally->equal += seen.equal ? 1 : 0;
    tally->told_right += seen.told && seen.equal ? 1 : 0;
    tally->told_wrong += seen.told && !seen.equal ? 1 : 0;
    CountText(plate.text, seen.read, tally);
    CountProvince(plate, seen, tally);
    verdict.plates.push_back(std::move(seen));
  }
  for (const auto& [name, ms] : answer.stages) {
    tally->stages[name].push_back(static_cast<float>(ms));
  }
  return verdict;
}

void Tally::Add(const Tally& other) {
  images += other.images;
  unreadable += other.unreadable;
  plates += other.plates;
  found_best += other.found_best;
  found_five += other.found_five;
  exact += other.exact;
  equal += other.equal;
  characters += other.characters;
  mistakes += other.mistakes;
  told_right += other.told_right;
  told_wrong += other.told_wrong;
  false_plates += other.false_plates;
  false_readings += other.false_readings;
  provinces += other.provinces;
  province_given += other.province_given;
  province_right += other.province_right;
  for (size_t i = 0; i < bands.size(); ++i) {
    bands[i].readings += other.bands[i].readings;
    bands[i].right += other.bands[i].right;
    bands[i].confidence += other.bands[i].confidence;
  }
  for (const auto& [name, ms] : other.stages) {
    stages[name].insert(stages[name].end(), ms.begin(), ms.end());
  }
  for (const auto& [pair, count] : other.mixed) mixed[pair] += count;
}

std::string Folded(const std::string& text) {
  std::string out = text;
  std::replace(out.begin(), out.end(), 'O', '0');
  std::replace(out.begin(), out.end(), 'I', '1');
  return out;
}

std::vector<std::string> Characters(const std::string& text) {
  std::vector<std::string> out;
  for (const char octet : text) {
    const bool goes_on = (static_cast<unsigned char>(octet) & 0xC0U) == 0x80U;
    if (!goes_on || out.empty()) out.emplace_back();
    out.back() += octet;
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> Changes(const std::string& right,
                                                         const std::string& read) {
  std::vector<std::string> a = Characters(right);
  std::vector<std::string> b = Characters(read);
  a.resize(std::min(a.size(), kLongestText));
  b.resize(std::min(b.size(), kLongestText));
  // costs[i][j]: from the first i characters of a to the first j of b.
  std::vector<std::vector<size_t>> costs(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        costs[i][j] = i + j;
        continue;
      }
      const size_t kept = costs[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      costs[i][j] = std::min({kept, costs[i - 1][j] + 1, costs[i][j - 1] + 1});
    }
  }
  std::vector<std::pair<std::string, std::string>> changes;
  size_t i = a.size();
  size_t j = b.size();
  while (i > 0 || j > 0) {
    const bool both = i > 0 && j > 0;
    if (both && costs[i][j] == costs[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)) {
      if (a[i - 1] != b[j - 1]) changes.emplace_back(a[i - 1], b[j - 1]);
      --i;
      --j;
    } else if (i > 0 && costs[i][j] == costs[i - 1][j] + 1) {
      changes.emplace_back(a[--i], "");
    } else {
      changes.emplace_back("", b[--j]);
    }
  }
  std::reverse(changes.begin(), changes.end());
  return changes;
}

}  // namespace viaduct::eval
