#include "plugins/hailo_lpr/province_reader.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "opencv2/imgproc.hpp"
#include "plugins/hailo_lpr/papers.h"
#include "plugins/hailo_lpr/plate_reader.h"

namespace viaduct::hailo_lpr {
namespace {

// All in heights of a character of the line above. Where to look:
constexpr float kFromLine = 0.02F;
constexpr float kToLine = 1.4F;
// The line where nothing is found: about there on plates of the register.
constexpr float kUsualTop = 0.12F;
constexpr float kUsualHeight = 0.8F;
constexpr float kUsualShare = 0.86F;  // Of the width.
// What may be a line of small letters.
constexpr float kLowestText = 0.3F;
constexpr float kFullRow = 0.35F;  // Of the ink of the fullest row has a row of letters;
constexpr float kVowels = 0.25F;   // vowels and marks reach so far out of these.
constexpr float kMargin = 0.1F;    // Around a line, in its own height.
constexpr float kWordGap = 0.8F;   // In its own height; beyond is no text of this line.
// Ink has that much of the contrast of the characters: faint letters, and bold ones close to a
// frame.
constexpr float kLeastContrasts[] = {0.3F, 0.55F};
constexpr float kWider = 0.2F;  // At each side than the line of characters.
// Of a row between the outer fifths: less is paper, more is a frame or the vehicle.
constexpr float kLeastInk = 0.03F;
constexpr float kMostInk = 0.8F;
constexpr float kCertain = 0.99F;  // Of a province: no other crop is read.

absl::Status Wrong(const std::string& path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("province: ", path, ": ", what));
}

// The height of a character of a line with the margins that the detector gives it, upright.
float CharacterHeight(const Detection& line) {
  return std::max(LineHeight(line.box, line.slope), 1.0F) / (1 + 2 * kLineMargin);
}

float Mean(const cv::Mat& picture, const cv::Mat& mask) {
  return static_cast<float>(cv::mean(picture, mask)[0]);
}

// 255 where the picture is ink. Ink is what there is less of in the line of characters; thin and
// blurred letters have a part of its contrast only, and their own paper around them.
cv::Mat InkMask(const cv::Mat& characters, const cv::Mat& below, float least) {
  cv::Mat light;
  const double level =
      cv::threshold(characters, light, 0, 255, cv::THRESH_BINARY | cv::THRESH_OTSU);
  const bool dark = cv::countNonZero(light) * 2 > static_cast<int>(light.total());
  const float contrast = Mean(characters, light) - Mean(characters, ~light);
  cv::Mat paper;
  cv::threshold(below, paper, level, 255, dark ? cv::THRESH_BINARY : cv::THRESH_BINARY_INV);
  const bool any = cv::countNonZero(paper) > 0;
  const float ground = Mean(below, any ? paper : cv::Mat());
  const float edge = ground + (dark ? -least : least) * contrast;
  cv::Mat mask;
  cv::threshold(below, mask, static_cast<double>(edge), 255,
                dark ? cv::THRESH_BINARY_INV : cv::THRESH_BINARY);
  return mask;
}

// The part of each row between the outer fifths that is ink.
std::vector<float> InkOfRows(const cv::Mat& mask) {
  const int edge = mask.cols / 5;
  const cv::Mat inner = mask.colRange(edge, mask.cols - edge);
  std::vector<float> ink;
  for (int row = 0; row < inner.rows; ++row) {
    ink.push_back(static_cast<float>(cv::countNonZero(inner.row(row))) /
                  static_cast<float>(inner.cols));
  }
  return ink;
}

// The rows with the most ink together of those up to `end` that have at least `least`, [from, to).
cv::Range FullestRows(const std::vector<float>& ink, int end, float least) {
  cv::Range best(0, 0);
  float most = 0;
  float sum = 0;
  int from = 0;
  for (int row = 0; row <= end; ++row) {
    const float part = row < end ? ink[static_cast<size_t>(row)] : 0;
    if (part >= least && part > 0) {
      sum += part;
      continue;
    }
    if (sum > most) {
      most = sum;
      best = cv::Range(from, row);
    }
    sum = 0;
    from = row + 1;
  }
  return best;
}

// The rows of a line of text, [from, to), above a frame. Feet and tails of the characters above are
// few rows or have little ink, and vowels above and below the letters have little as well.
std::optional<cv::Range> TextRows(const cv::Mat& mask, float character) {
  const std::vector<float> ink = InkOfRows(mask);
  const auto frame =
      std::find_if(ink.begin(), ink.end(), [](float part) { return part > kMostInk; });
  const auto end = static_cast<int>(frame - ink.begin());
  if (end == 0) return std::nullopt;
  cv::Range rows = FullestRows(ink, end, kFullRow * *std::max_element(ink.begin(), frame));
  const auto at = [&](int row) { return ink[static_cast<size_t>(row)]; };
  const auto more = static_cast<int>(std::lround(kVowels * character));
  const int lowest = std::max(0, rows.start - more);
  const int highest = std::min(end, rows.end + more);
  while (rows.start > lowest && at(rows.start - 1) >= kLeastInk) --rows.start;
  while (rows.end < highest && at(rows.end) >= kLeastInk) ++rows.end;
  if (static_cast<float>(rows.size()) < kLowestText * character) return std::nullopt;
  return rows;
}

// From the middle outwards, as far as there is ink without a wide gap.
cv::Range TextColumns(const cv::Mat& band) {
  const auto gap = static_cast<int>(kWordGap * static_cast<float>(band.rows));
  const auto reach = [&](int step) {
    int last = band.cols / 2;
    for (int x = last; x >= 0 && x < band.cols && std::abs(x - last) <= gap; x += step) {
      const int ink = cv::countNonZero(band.col(x));
      if (ink > 0 && ink < band.rows) last = x;
    }
    return last;
  };
  return {reach(-1), reach(1) + 1};
}

cv::Mat Around(const cv::Mat& picture, cv::Range rows, cv::Range columns) {
  const auto margin = static_cast<int>(std::lround(kMargin * static_cast<float>(rows.size())));
  const cv::Rect box(columns.start - 2 * margin, rows.start - margin, columns.size() + 4 * margin,
                     rows.size() + 2 * margin);
  return picture(box & cv::Rect(0, 0, picture.cols, picture.rows));
}

}  // namespace

absl::StatusOr<ProvinceOptions> ProvinceOptions::Load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("province: ", path, ": cannot be read"));
  std::string text(kMaxFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kMaxFileBytes) return Wrong(path, "more than 1 MiB");
  ProvinceOptions options;
  try {
    const YAML::Node document = YAML::Load(text);
    options.input.sizes = {1, 1, document["height"].as<int>(), document["width"].as<int>()};
    options.temperature = document["temperature"].as<float>();
    options.reject_below = document["reject_below"].as<float>();
    options.names = document["names"].as<std::vector<std::string>>();
  } catch (const YAML::Exception& error) {
    return Wrong(path, error.what());
  }
  const auto side = [](int value) { return value >= 1 && value <= kMaxSide; };
  if (!side(options.input.sizes[2]) || !side(options.input.sizes[3])) {
    return Wrong(path, absl::StrCat("width and height: not 1 to ", kMaxSide));
  }
  if (!(options.temperature > 0)) return Wrong(path, "temperature: not above 0");
  if (options.names.empty() || options.names.size() > kMostNames) {
    return Wrong(path, absl::StrCat("names: not 1 to ", kMostNames));
  }
  return options;
}

std::vector<cv::Mat> LinesBelow(const cv::Mat& picture, const Detection& line,
                                const Detection* next) {
  std::vector<cv::Mat> found;
  const float character = CharacterHeight(line);
  // Upright distances from the middle of the line; the box of a slope is higher than what it holds.
  const float line_middle = (line.box.top + line.box.bottom) / 2;
  float height = (kToLine - kFromLine) * character;
  if (next != nullptr) {
    const float between = (next->box.top + next->box.bottom) / 2 - line_middle;
    height = std::min(height, between - (1 + kFromLine) * character);
    if (height < kLowestText * character) return found;
  }
  const float middle = line_middle + (0.5F + kFromLine) * character + height / 2;
  Detection below = line;
  below.box.left -= kWider * character;
  below.box.right += kWider * character;
  const float half = (height + std::abs(line.slope) * below.box.width()) / 2;
  below.box.top = middle - half;
  below.box.bottom = middle + half;
  const cv::Mat characters = CropUpright(picture, line);
  const cv::Mat region = CropUpright(picture, below);
  if (characters.empty() || region.empty() || region.cols < 5) return found;
  for (const float least : kLeastContrasts) {
    const cv::Mat mask = InkMask(characters, region, least);
    const auto rows = TextRows(mask, character);
    if (!rows) continue;
    const cv::Range columns = TextColumns(mask.rowRange(*rows));
    if (columns.size() > rows->size()) found.push_back(Around(region, *rows, columns));
  }
  const auto row = [&](float heights) {
    return std::clamp(static_cast<int>(std::lround(heights * character)), 0, region.rows);
  };
  const cv::Range rows(row(kUsualTop), row(kUsualTop + kUsualHeight));
  const float usual = kUsualShare * line.box.width();
  const auto edge = std::max(0, static_cast<int>((static_cast<float>(region.cols) - usual) / 2));
  if (!rows.empty()) {
    found.push_back(region(rows, cv::Range(edge, region.cols - edge)));
  }
  return found;
}

std::vector<cv::Mat> WordsOf(const cv::Mat& picture, const Detection& plate) {
  std::vector<cv::Mat> found;
  for (const Detection& words : plate.words) {
    found.push_back(CropUpright(picture, Trimmed(picture, words)));
  }
  const auto add_below = [&](const Detection& look) {
    const bool stacked = look.lines.size() > 1;
    for (cv::Mat& crop : LinesBelow(picture, look.lines.empty() ? look : look.lines[0],
                                    stacked ? &look.lines[1] : nullptr)) {
      found.push_back(std::move(crop));
    }
  };
  // Of an outline the plate is more than its line, but for those of a stack.
  if (plate.words.empty() || !plate.lines.empty()) add_below(plate);
  for (const Detection& look : plate.looks) add_below(look);
  return found;
}

void ProvinceVotes::Add(const std::vector<float>& probabilities) {
  for (size_t i = 1; i < std::min(votes_.size(), probabilities.size()); ++i) {
    const float probability = probabilities[i];
    votes_[i] += probability * probability;
    surest_[i] = std::max(surest_[i], probability);
  }
}

bool ProvinceVotes::IsCertain() const {
  return *std::max_element(surest_.begin(), surest_.end()) >= kCertain;
}

size_t ProvinceVotes::best() const {
  return static_cast<size_t>(std::max_element(votes_.begin(), votes_.end()) - votes_.begin());
}

float ProvinceVotes::confidence() const {
  const float all = std::accumulate(votes_.begin(), votes_.end(), 0.0F);
  return all > 0 ? surest_[best()] * std::sqrt(votes_[best()] / all) : 0;
}

absl::Status ProvinceReader::Read(const cv::Mat& picture, const Detection& plate,
                                  Province* province) {
  *province = {};
  ProvinceVotes votes(options_.names.size() + 1);
  for (const cv::Mat& crop : WordsOf(picture, plate)) {
    const absl::Status read = Add(crop, &votes);
    if (!read.ok()) return read;
    if (votes.IsCertain()) break;
  }
  *province = Elected(votes);
  return absl::OkStatus();
}

absl::Status ProvinceReader::ReadCrop(const cv::Mat& crop, Province* province) {
  *province = {};
  ProvinceVotes votes(options_.names.size() + 1);
  const absl::Status read = Add(crop, &votes);
  if (read.ok()) *province = Elected(votes);
  return read;
}

absl::Status ProvinceReader::Add(const cv::Mat& crop, ProvinceVotes* votes) {
  if (crop.empty()) return absl::OkStatus();
  FillInput(crop, runner_->input(), &input_);
  const absl::Status run = runner_->Run(input_, &outputs_);
  if (!run.ok()) return run;
  std::vector<float>& scores = outputs_[0].values;
  if (scores.size() != options_.names.size() + 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model: output ", outputs_[0].name, " is ", absl::StrJoin(outputs_[0].shape.sizes, "x"),
        ", not one of ", options_.names.size() + 1, " classes"));
  }
  const float most = *std::max_element(scores.begin(), scores.end());
  float sum = 0;
  for (float& score : scores) {
    score = std::exp((score - most) / options_.temperature);
    sum += score;
  }
  if (!std::isfinite(sum) || sum <= 0) {
    return absl::InvalidArgumentError("model: an output that is no probability");
  }
  for (float& score : scores) score /= sum;
  votes->Add(scores);
  return absl::OkStatus();
}

Province ProvinceReader::Elected(const ProvinceVotes& votes) const {
  Province province;
  province.confidence = votes.confidence();
  if (votes.best() > 0 && province.confidence >= options_.reject_below) {
    province.name = options_.names[votes.best() - 1];
  }
  return province;
}

}  // namespace viaduct::hailo_lpr
