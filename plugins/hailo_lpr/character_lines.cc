#include "plugins/hailo_lpr/character_lines.h"

#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "opencv2/imgproc.hpp"

namespace viaduct::hailo_lpr {

namespace {

// What is darker than the mean around it by `least` and `share` of that mean, or lighter.
struct Contrast {
  int least;
  double share;
  bool dark;
};
// Dark plates, faint ones, and those whose characters touch their frame, are found in one of them.
constexpr Contrast kContrasts[] = {
    {2, 0.03, true}, {6, 0.1, true}, {8, 0.28, true}, {6, 0.08, false}};

constexpr int kScales = 4;

constexpr int kNeighbourhood = 15;  // Of the mean, in pixels of the scale.
constexpr float kLowest = 8;        // A character, in pixels of the scale; at the next scale it has
constexpr float kHighest = 30;      // half of it.
constexpr float kNarrowest = 0.08F;  // Times its height: 1 and I.
constexpr float kWidestShape = 1.25F;
constexpr float kEmptiest = 0.15F;  // Of its box is ink.
// Neighbours of one line, in heights of a character.
constexpr float kMostTaller = 1.35F;
constexpr float kMostHigher = 0.35F;
constexpr float kMostApart = 1.1F;
constexpr float kMostOverlap = 0.5F;  // In widths: italics, dirt between two.
// Off the line or the median height: no character of it.
constexpr float kMostOffLine = 0.2F;
constexpr float kMostOffHeight = 0.22F;
constexpr int kRefinements = 3;
constexpr float kSteepest = 0.5F;
constexpr size_t kFewest = 4;
constexpr size_t kFewestOfLine = 2;  // Of two that are stacked.
constexpr size_t kFewestStacked = 5;
constexpr size_t kMostPaired = 300;   // Lines that are looked at for stacks.
constexpr float kMostBetween = 1.1F;  // Of their height; a province may stand between them.
constexpr float kLeastOver = 0.6F;    // Of the shorter one is over or below the other.
constexpr float kMostTurned = 0.12F;  // Difference of the slopes.
constexpr float kStackMalus = 1.5F;   // Of the score: two lines are stacked by chance sooner.
constexpr size_t kMost = 14;
constexpr size_t kFewestExtended = 3;  // Shorter lines are parts of stacks only.
constexpr size_t kComplete = 6;        // A line of so many gets nothing added.
// What is added to a line, in its height.
constexpr int kMostAdded = 6;
constexpr float kFarthest = 1.5F;
constexpr float kThin = 0.35F;
constexpr float kLeastAdded = 0.75F;
constexpr float kMostAddedHeight = 1.6F;
constexpr float kMostAddedOff = 0.35F;
constexpr float kMostCommon = 0.4F;  // Of two lines that are one plate.

template <typename Value>
float Median(std::vector<Value> values) {
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return static_cast<float>(*middle);
}

// Which of a set of things belong together (union by halving paths).
int Root(std::vector<int>* parents, int of) {
  std::vector<int>& parent = *parents;
  while (parent[static_cast<size_t>(of)] != of) {
    const auto at = static_cast<size_t>(of);
    parent[at] = parent[static_cast<size_t>(parent[at])];
    of = parent[at];
  }
  return of;
}

}  // namespace

absl::Status CharacterLines::Detect(const cv::Mat& picture, std::vector<Detection>* found) {
  found->clear();
  if (picture.empty() || picture.depth() != CV_8U ||
      (picture.channels() != 1 && picture.channels() != 3)) {
    return absl::InvalidArgumentError("picture: not 8 bits of grey or BGR");
  }
  const std::vector<Paper> papers = FindAtScales(picture, found);
  KeepBest(kMostCommon, kMostLines, found);
  *found = JoinPapers(papers, std::move(*found));
  KeepBest(kMostCommon, kMostFound, found);
  TrimLines(picture, found);
  return absl::OkStatus();
}

std::vector<Paper> CharacterLines::FindAtScales(const cv::Mat& picture,
                                                std::vector<Detection>* found) {
  std::vector<Paper> papers = paper_finder_.Find(picture);
  const cv::Mat* grey = &picture;
  if (picture.channels() == 3) {
    cv::cvtColor(picture, grey_, cv::COLOR_BGR2GRAY);
    grey = &grey_;
  }
  const auto width = static_cast<float>(grey->cols);
  const auto height = static_cast<float>(grey->rows);
  float scale = std::min(1.0F, static_cast<float>(kWidest) / width);
  for (int i = 0; i < kScales; ++i, scale /= 2) {
    const cv::Size size(static_cast<int>(std::lround(width * scale)),
                        static_cast<int>(std::lround(height * scale)));
    if (std::min(size.width, size.height) < kNeighbourhood) break;
    if (size != grey->size()) {
      cv::resize(*grey, scaled_, size, 0, 0, cv::INTER_AREA);
      std::swap(scaled_, grey_);
      grey = &grey_;
    }
    FindAtScale(*grey, scale, &papers, found);
  }
  return papers;
}

void CharacterLines::FindAtScale(const cv::Mat& grey, float scale, std::vector<Paper>* papers,
                                 std::vector<Detection>* found) {
  cv::blur(grey, mean_, cv::Size(kNeighbourhood, kNeighbourhood));
  for (const Contrast& contrast : kContrasts) {
    const double share = contrast.dark ? 1 - contrast.share : 1 + contrast.share;
    const double least = contrast.dark ? -contrast.least : contrast.least;
    mean_.convertTo(threshold_, CV_8U, share, least);
    cv::compare(grey, threshold_, mask_, contrast.dark ? cv::CMP_LT : cv::CMP_GT);
    FindShapes();
    CountCharacters(shapes_, scale, papers);
    JoinShapes(grey, contrast.dark, scale, found);
  }
}

void CharacterLines::FindShapes() {
  shapes_.clear();
  for (const ShapeFinder::Extent& extent : finder_.Find(mask_)) {
    if (shapes_.size() == kMostShapes) break;
    Shape shape;
    shape.left = static_cast<float>(extent.left);
    shape.top = static_cast<float>(extent.top);
    shape.width = static_cast<float>(extent.right - extent.left);
    shape.height = static_cast<float>(extent.bottom - extent.top);
    const auto ink = static_cast<float>(extent.area);
    if (shape.height >= kLowest && shape.height <= kHighest &&
        shape.width >= kNarrowest * shape.height && shape.width <= kWidestShape * shape.height &&
        ink >= kEmptiest * shape.width * shape.height) {
      shapes_.push_back(shape);
    }
  }
  std::sort(shapes_.begin(), shapes_.end(),
            [](const Shape& a, const Shape& b) { return a.left < b.left; });
}

bool CharacterLines::Neighbours(const Shape& a, const Shape& b) {
  const float height = (a.height + b.height) / 2;
  const float gap = b.left - a.right();
  return std::max(a.height, b.height) <= kMostTaller * std::min(a.height, b.height) &&
         std::abs(a.middle_y() - b.middle_y()) <= kMostHigher * height &&
         gap <= kMostApart * height && gap >= -kMostOverlap * std::min(a.width, b.width);
}

void CharacterLines::JoinShapes(const cv::Mat& grey, bool dark, float scale,
                                std::vector<Detection>* found) {
  std::vector<int>& parents = parents_;
  parents.resize(shapes_.size());
  std::iota(parents.begin(), parents.end(), 0);
  for (size_t i = 0; i < shapes_.size(); ++i) {
    const float end = shapes_[i].right() + kMostApart * kMostTaller * shapes_[i].height;
    for (size_t k = i + 1; k < shapes_.size() && shapes_[k].left <= end; ++k) {
      if (!Neighbours(shapes_[i], shapes_[k])) continue;
      const auto from = static_cast<size_t>(Root(&parents, static_cast<int>(k)));
      parents[from] = Root(&parents, static_cast<int>(i));
    }
  }
  std::map<int, std::vector<Shape>> groups;
  for (size_t i = 0; i < shapes_.size(); ++i) {
    groups[Root(&parents, static_cast<int>(i))].push_back(shapes_[i]);
  }
  std::vector<Line> lines;
  for (auto& [root, group] : groups) SplitLines(std::move(group), &lines);
  const auto stacked = Stacks(lines);
  for (Line& line : lines) {
    if (line.count >= kFewestExtended && line.count < kComplete) Extend(&line);
    if (line.count >= kFewest) AddPlate(grey, line, dark, scale, found);
  }
  for (const auto& [upper, lower] : stacked) AddStack(grey, upper, lower, dark, scale, found);
}

// Two lines of one height, one below the other, are one plate with stacked lines.
std::vector<std::pair<CharacterLines::Line, CharacterLines::Line>> CharacterLines::Stacks(
    const std::vector<Line>& lines) {
  std::vector<std::pair<Line, Line>> stacks;
  const size_t count = std::min(lines.size(), kMostPaired);
  for (size_t i = 0; i < count; ++i) {
    for (size_t k = 0; k < count; ++k) {
      if (Stacked(lines[i], lines[k])) stacks.emplace_back(lines[i], lines[k]);
    }
  }
  return stacks;
}

bool CharacterLines::Stacked(const Line& upper, const Line& lower) {
  const float height = std::max(upper.height, lower.height);
  if (height > kMostTaller * std::min(upper.height, lower.height)) return false;
  if (upper.count + lower.count < kFewestStacked || std::max(upper.count, lower.count) < 3) {
    return false;
  }
  const float gap = lower.box.top - upper.box.bottom;
  const float common =
      std::min(upper.box.right, lower.box.right) - std::max(upper.box.left, lower.box.left);
  return gap >= 0 && gap <= kMostBetween * height &&
         common >= kLeastOver * std::min(upper.box.width(), lower.box.width()) &&
         std::abs(upper.slope - lower.slope) <= kMostTurned;
}

// Letters with tails and hats, and groups behind a wide gap or a seal, are no neighbours of the
// rest, but they stand on its line.
void CharacterLines::Extend(Line* line) const {
  const float height = line->height;
  for (int added = 0; added < kMostAdded; ++added) {
    const Shape* nearest = nullptr;
    float least = kFarthest * height;
    for (const Shape& shape : shapes_) {
      if (shape.left > line->box.right + least) break;  // In order of their left edges.
      const float away = std::max(shape.left - line->box.right, line->box.left - shape.right());
      if (away < -kMostOverlap * shape.width || away >= least || !OnLine(*line, shape)) continue;
      nearest = &shape;
      least = std::max(away, 0.0F);
    }
    if (nearest == nullptr) return;
    const float left = std::min(0.0F, nearest->left - line->box.left);
    const float right = std::max(0.0F, nearest->right() - line->box.right);
    // A group of two or three is a plate only by what it gets.
    if (line->count < kFewest) line->score += 1;
    ++line->count;
    line->box.left += left;
    line->box.right += right;
    line->box.top += std::min(line->slope * left, line->slope * right);
    line->box.bottom += std::max(line->slope * left, line->slope * right);
  }
}

bool CharacterLines::OnLine(const Line& line, const Shape& shape) {
  const float middle = (line.box.top + line.box.bottom) / 2 +
                       line.slope * (shape.middle_x() - (line.box.left + line.box.right) / 2);
  const float off = std::abs(shape.middle_y() - middle);
  const float taller = shape.height / line.height;
  // A thin one may be the edge of the plate: only one of the very height is a character.
  if (shape.width < kThin * line.height) {
    return std::abs(taller - 1) < kMostOffHeight && off < kMostOffLine * line.height;
  }
  return taller > kLeastAdded && taller < kMostAddedHeight && off < kMostAddedOff * line.height;
}

// The line through the middles: of least squares in slope, of the median in height.
CharacterLines::Fit CharacterLines::FitLine(const std::vector<Shape>& shapes) {
  float mean_x = 0;
  float mean_y = 0;
  for (const Shape& shape : shapes) {
    mean_x += shape.middle_x() / static_cast<float>(shapes.size());
    mean_y += shape.middle_y() / static_cast<float>(shapes.size());
  }
  float both = 0;
  float square = 0;
  for (const Shape& shape : shapes) {
    const float x = shape.middle_x() - mean_x;
    both += x * (shape.middle_y() - mean_y);
    square += x * x;
  }
  Fit fit;
  fit.slope = square > 0 ? std::clamp(both / square, -kSteepest, kSteepest) : 0;
  std::vector<float> heights;
  std::vector<float> at_zero;
  for (const Shape& shape : shapes) {
    heights.push_back(shape.height);
    at_zero.push_back(shape.middle_y() - fit.slope * shape.middle_x());
  }
  fit.height = Median(std::move(heights));
  fit.at_zero = Median(std::move(at_zero));
  return fit;
}

// A frame, a screw or a slogan joined the characters of a plate: what is off their line goes.
void CharacterLines::SplitLines(std::vector<Shape> group, std::vector<Line>* lines) {
  Fit fit;
  for (int i = 0; i < kRefinements; ++i) {
    if (group.size() < kFewestOfLine) return;
    fit = FitLine(group);
    const auto off = [&](const Shape& shape) {
      return fit.Off(shape) >= kMostOffLine * fit.height ||
             std::abs(shape.height - fit.height) >= kMostOffHeight * fit.height;
    };
    const auto end = std::remove_if(group.begin(), group.end(), off);
    if (end == group.end()) break;
    group.erase(end, group.end());
  }
  size_t begin = 0;
  for (size_t i = 1; i <= group.size(); ++i) {
    const bool cut =
        i == group.size() || group[i].left - group[i - 1].right() > kMostApart * fit.height;
    if (!cut) continue;
    if (i - begin >= kFewestOfLine && i - begin <= kMost) {
      lines->push_back(Rate({group.begin() + static_cast<ptrdiff_t>(begin),
                             group.begin() + static_cast<ptrdiff_t>(i)}));
    }
    begin = i;
  }
}

// The more characters, the more alike, on a straight and level line at even steps, the better.
CharacterLines::Line CharacterLines::Rate(const std::vector<Shape>& shapes) {
  const Fit fit = FitLine(shapes);
  const auto count = static_cast<float>(shapes.size());
  Line line;
  line.count = shapes.size();
  line.height = fit.height;
  line.slope = fit.slope;
  line.box = {shapes[0].left, shapes[0].top, shapes[0].right(), shapes[0].top};
  float off_line = 0;
  float off_height = 0;
  for (const Shape& shape : shapes) {
    line.box.right = std::max(line.box.right, shape.right());
    line.box.top = std::min(line.box.top, shape.top);
    line.box.bottom = std::max(line.box.bottom, shape.top + shape.height);
    off_line += fit.Off(shape) / count / fit.height;
    off_height += std::abs(shape.height - fit.height) / count / fit.height;
  }
  const float step = (shapes.back().middle_x() - shapes[0].middle_x()) / (count - 1);
  float uneven = 0;
  for (size_t i = 1; i < shapes.size(); ++i) {
    const float off = shapes[i].middle_x() - shapes[i - 1].middle_x() - step;
    uneven += off * off / (count - 1);
  }
  uneven = std::min(std::sqrt(uneven) / std::max(step, 1.0F), 1.5F);
  line.score = std::min(count, 7.0F) - std::max(0.0F, count - 9) - 12 * off_line - 8 * off_height -
               uneven - 2 * std::abs(fit.slope);
  return line;
}

Detection CharacterLines::PlateOf(const cv::Mat& grey, const Line& line, bool dark, float scale) {
  const cv::Rect inside =
      cv::Rect(
          cv::Point(static_cast<int>(line.box.left), static_cast<int>(line.box.top)),
          cv::Point(static_cast<int>(line.box.right) + 1, static_cast<int>(line.box.bottom) + 1)) &
      cv::Rect(0, 0, grey.cols, grey.rows);
  cv::Scalar mean;
  cv::Scalar deviation;
  cv::meanStdDev(grey(inside), mean, deviation);
  const float margin = kLineMargin * line.height;
  Detection plate;
  plate.box = {(line.box.left - margin) / scale, (line.box.top - margin) / scale,
               (line.box.right + margin) / scale, (line.box.bottom + margin) / scale};
  plate.slope = line.slope;
  plate.characters = line.count;
  plate.score =
      line.score + std::min(static_cast<float>(deviation[0]) / 40, 1.0F) - (dark ? 0 : 0.5F);
  return plate;
}

void CharacterLines::AddPlate(const cv::Mat& grey, const Line& line, bool dark, float scale,
                              std::vector<Detection>* found) {
  found->push_back(PlateOf(grey, line, dark, scale));
}

// As good as one line with the characters of both would be, less the malus.
void CharacterLines::AddStack(const cv::Mat& grey, const Line& upper, const Line& lower, bool dark,
                              float scale, std::vector<Detection>* found) {
  Detection plate;
  plate.lines = {PlateOf(grey, upper, dark, scale), PlateOf(grey, lower, dark, scale)};
  const Detection& a = plate.lines[0];
  const Detection& b = plate.lines[1];
  plate.box = {std::min(a.box.left, b.box.left), std::min(a.box.top, b.box.top),
               std::max(a.box.right, b.box.right), std::max(a.box.bottom, b.box.bottom)};
  plate.slope = (a.slope + b.slope) / 2;
  const auto characters = static_cast<float>(upper.count + lower.count);
  plate.score = a.score + b.score - characters + std::min(characters, 7.0F) - kStackMalus;
  found->push_back(std::move(plate));
}

}  // namespace viaduct::hailo_lpr
