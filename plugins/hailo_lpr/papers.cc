#include "plugins/hailo_lpr/papers.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "opencv2/imgproc.hpp"
#include "plugins/hailo_lpr/plate_reader.h"

namespace viaduct::hailo_lpr {
namespace {

constexpr int kWidest = 640;  // A picture that is wider is looked at in this width.
constexpr int kLevelStep = 16;
constexpr int kHighestLevel = 240;
// The same of colours, from grey to strong ones.
constexpr int kColourStep = 32;
constexpr int kStrongest = 128;
// In pixels of that width.
constexpr int kNarrowest = 16;
constexpr int kLowest = 8;
constexpr int kWidestPart = 2;  // No plate is wider than one part of so many of the picture.
constexpr double kLeastAspect = 1;
constexpr double kMostAspect = 6.5;
constexpr double kLeastOfBox = 0.5;  // Of its upright box is in a paper that is turned or sheared,
constexpr double kLeastOfHull = 0.85;  // of its hull, for screws and shadows bite pieces out,
constexpr double kLeastOfRect = 0.8;   // and of the least rectangle around it.
constexpr float kSame = 0.7F;          // IoU of what is one paper at two levels.
constexpr size_t kMostAtOnce = 1'000;  // Before the best are chosen.

// Characters, in heights of the paper; those of a stack have less.
constexpr float kLeastCharacter = 0.26F;
constexpr float kLeastOfStack = 0.2F;
// Lines of smaller characters lie on bodywork around their plate.
constexpr float kLeastOfLine = 0.3F;
constexpr float kMostCharacter = 0.95F;
// Characters of one line, in the height of one.
constexpr float kMostOffHeight = 0.22F;
constexpr float kMostOffLine = 0.2F;
constexpr float kFromMiddle = 0.1F;  // The lines of a stack, in heights of the paper.
constexpr size_t kFewest = 2;
constexpr size_t kFewestOfStack = 3;  // Two stand side by side in many a grille.
constexpr size_t kMostOnPaper = 64;   // More are foliage or noise: the rest of them is left out.
constexpr float kWidestLine = 1.25F;  // Of the paper: the margins of a line stand out.
// A paper that is so much wider than a line of so many characters in its middle, and so much
// larger, may be the bodywork around the plate.
constexpr size_t kFewestOfMiddle = 5;
constexpr float kMostWider = 1.35F;
constexpr float kMostLarger = 1.8F;
constexpr float kMostAside = 0.1F;  // Of the width of the paper.

// What a narrower paper has is two lines.
constexpr float kStackAspect = 1.5F;
// Where the lines of a stack and the words of a plate stand, in heights of the paper.
struct Rows {
  float from;
  float to;
};
constexpr Rows kUpperLine = {0.08F, 0.51F};
constexpr Rows kLowerLine = {0.55F, 0.98F};
// Plates differ, and outlines are cut a little high or low: the words are looked at in several
// cuts.
constexpr Rows kWordsOfStack[] = {{0.44F, 0.64F}, {0.42F, 0.66F}, {0.4F, 0.6F}};
constexpr Rows kWords[] = {{0.59F, 0.97F}, {0.55F, 0.97F}, {0.63F, 0.92F},
                           {0.6F, 0.94F},  {0.55F, 0.9F},  {0.66F, 0.97F}};
constexpr float kInkOfColumn = 0.1F;  // Of a column within a line; less is paper.
constexpr int kEdge = 16;             // One part of so many at each side may be a frame.
constexpr float kInkMargin = 0.3F;    // Left beside the ink, in heights of the part.

// The score: that of as many characters, or of the line; and for each level up to a limit.
constexpr size_t kMostCounted = 7;
constexpr float kMalus = 0.5F;  // Characters on a paper are not as alike as those of a line.
constexpr int kMostLevels = 5;
constexpr float kOfLevel = 0.35F;
constexpr float kOfLevelOfLine = 0.5F;
// Lines that score less and are on no paper are foliage and ornaments of vehicles.
constexpr float kLeastAlone = 4;

// y of the edges of a hull at x: above and below.
std::optional<cv::Vec2f> EdgesAt(const std::vector<cv::Point>& hull, float x) {
  std::optional<cv::Vec2f> edges;
  for (size_t i = 0; i < hull.size(); ++i) {
    const cv::Point2f a = hull[i];
    const cv::Point2f b = hull[(i + 1) % hull.size()];
    if (a.x == b.x || x < std::min(a.x, b.x) || x > std::max(a.x, b.x)) continue;
    const float y = a.y + (b.y - a.y) * (x - a.x) / (b.x - a.x);
    if (!edges) edges = cv::Vec2f(y, y);
    *edges = {std::min((*edges)[0], y), std::max((*edges)[1], y)};
  }
  return edges;
}

// How much the middle falls from the first quarter to the last, for each x.
float SlopeOf(const std::vector<cv::Point>& hull, const cv::Rect& box) {
  const auto width = static_cast<float>(box.width);
  const auto left = EdgesAt(hull, static_cast<float>(box.x) + width / 4);
  const auto right = EdgesAt(hull, static_cast<float>(box.x) + 3 * width / 4);
  if (!left || !right) return 0;
  return ((*right)[0] + (*right)[1] - (*left)[0] - (*left)[1]) / width;
}

Box Scaled(const Box& box, float scale) {
  return {box.left * scale, box.top * scale, box.right * scale, box.bottom * scale};
}

// The paper that a contour is the outline of.
std::optional<Paper> PaperOf(const std::vector<cv::Point>& contour, int widest) {
  if (contour.size() < 4) return std::nullopt;
  const cv::Rect box = cv::boundingRect(contour);
  if (box.width < kNarrowest || box.height < kLowest || box.width > widest) return std::nullopt;
  const double aspect = static_cast<double>(box.width) / box.height;
  if (aspect < kLeastAspect || aspect > kMostAspect) return std::nullopt;
  const double area = cv::contourArea(contour);
  if (area < kLeastOfBox * box.area()) return std::nullopt;
  std::vector<cv::Point> hull;
  cv::convexHull(contour, hull);
  const double whole = cv::contourArea(hull);
  if (area < kLeastOfHull * whole) return std::nullopt;
  if (whole < kLeastOfRect * cv::minAreaRect(hull).size.area()) return std::nullopt;
  Paper paper;
  paper.box = {static_cast<float>(box.x), static_cast<float>(box.y),
               static_cast<float>(box.x + box.width), static_cast<float>(box.y + box.height)};
  paper.slope = SlopeOf(hull, box);
  return paper;
}

bool IsStack(const Paper& paper) { return paper.box.width() < kStackAspect * paper.height(); }

bool IsOn(const Paper& paper, float x, float y) {
  return x >= paper.box.left && x <= paper.box.right &&
         std::abs(y - paper.MiddleAt(x)) < paper.height() / 2;
}

std::vector<Shape> ShapesOn(const Paper& paper, const std::vector<Shape>& shapes) {
  const float least = (IsStack(paper) ? kLeastOfStack : kLeastCharacter) * paper.height();
  std::vector<Shape> on;
  for (const Shape& shape : shapes) {
    if (shape.left > paper.box.right || on.size() == kMostOnPaper) break;
    if (shape.height >= least && shape.height <= kMostCharacter * paper.height() &&
        shape.left >= paper.box.left && shape.right() <= paper.box.right &&
        IsOn(paper, shape.middle_x(), shape.middle_y())) {
      on.push_back(shape);
    }
  }
  return on;
}

// Characters of like height on one line, whose middle is between two distances from that of the
// paper.
size_t LongestLine(const Paper& paper, const std::vector<Shape>& shapes, float from, float to) {
  const auto off = [&](const Shape& shape) {
    return shape.middle_y() - paper.MiddleAt(shape.middle_x());
  };
  size_t most = 0;
  for (const Shape& first : shapes) {
    if (off(first) < from || off(first) > to) continue;
    const auto count = std::count_if(shapes.begin(), shapes.end(), [&](const Shape& shape) {
      return std::abs(shape.height - first.height) <= kMostOffHeight * first.height &&
             std::abs(off(shape) - off(first)) <= kMostOffLine * first.height;
    });
    most = std::max(most, static_cast<size_t>(count));
  }
  return most;
}

size_t CharactersOn(const Paper& paper, const std::vector<Shape>& all) {
  const float height = paper.height();
  const std::vector<Shape> shapes = ShapesOn(paper, all);
  const size_t one = LongestLine(paper, shapes, -height, height);
  if (!IsStack(paper)) return one;
  const float from = kFromMiddle * height;
  return std::max(
      one, LongestLine(paper, shapes, -height, -from) + LongestLine(paper, shapes, from, height));
}

Detection Part(const Paper& paper, const Rows& rows) {
  const float rise = std::abs(paper.slope) * paper.box.width();
  Detection part;
  part.slope = paper.slope;
  part.box = paper.box;
  part.box.top = paper.box.top + rows.from * paper.height();
  part.box.bottom = paper.box.top + rows.to * paper.height() + rise;
  return part;
}

// The columns of an upright crop with ink in the middle of their height, frames left out.
cv::Range InkColumns(const cv::Mat& crop) {
  cv::Mat ink;
  cv::threshold(crop, ink, 0, 255, cv::THRESH_BINARY_INV | cv::THRESH_OTSU);
  if (cv::countNonZero(ink) * 2 > static_cast<int>(ink.total())) ink = ~ink;
  const cv::Mat middle = ink.rowRange(crop.rows / 4, std::max(crop.rows * 3 / 4, 1));
  const int edge = crop.cols / kEdge;
  cv::Range columns(crop.cols, 0);
  for (int x = edge; x < crop.cols - edge; ++x) {
    const auto inked = static_cast<float>(cv::countNonZero(middle.col(x)));
    if (inked <= kInkOfColumn * static_cast<float>(middle.rows)) continue;
    columns.start = std::min(columns.start, x);
    columns.end = x + 1;
  }
  return columns;
}

// A paper as a plate: whole, or its lines where it may have two.
Detection PlateOf(const Paper& paper) {
  Detection plate;
  plate.box = paper.box;
  plate.slope = paper.slope;
  plate.score = static_cast<float>(std::min(paper.characters, kMostCounted)) - kMalus;
  if (!IsStack(paper)) {
    for (const Rows& rows : kWords) plate.words.push_back(Part(paper, rows));
    return plate;
  }
  plate.lines = {Part(paper, kUpperLine), Part(paper, kLowerLine)};
  for (const Rows& rows : kWordsOfStack) plate.words.push_back(Part(paper, rows));
  return plate;
}

bool IsLineOf(const Paper& paper, const Detection& line) {
  const Box& box = line.box;
  if (box.width() > kWidestLine * paper.box.width()) return false;
  if (!IsOn(paper, (box.left + box.right) / 2, (box.top + box.bottom) / 2)) return false;
  const float character = LineHeight(box, line.slope) / (1 + 2 * kLineMargin);
  return character >= (IsStack(paper) ? kLeastOfStack : kLeastOfLine) * paper.height();
}

bool MayBeAround(const Box& paper, const Detection& line) {
  const float aside = (paper.left + paper.right - line.box.left - line.box.right) / 2;
  return line.characters >= kFewestOfMiddle && paper.width() > kMostWider * line.box.width() &&
         paper.area() > kMostLarger * line.box.area() &&
         std::abs(aside) < kMostAside * paper.width();
}

// Of a line on a paper. Where the paper may be what is around the plate, the box between it and the
// line is near the plate's either way.
Box BoxOfPlate(const Box& paper, const Detection& line) {
  if (!MayBeAround(paper, line)) return paper;
  return {(paper.left + line.box.left) / 2, (paper.top + line.box.top) / 2,
          (paper.right + line.box.right) / 2, (paper.bottom + line.box.bottom) / 2};
}

}  // namespace

void CountCharacters(const std::vector<Shape>& shapes, float scale, std::vector<Paper>* papers) {
  for (Paper& paper : *papers) {
    Paper scaled = paper;
    scaled.box = Scaled(paper.box, scale);
    paper.characters = std::max(paper.characters, CharactersOn(scaled, shapes));
  }
}

std::vector<Detection> JoinPapers(const std::vector<Paper>& papers, std::vector<Detection> lines) {
  std::vector<Detection> plates;
  std::vector<bool> on_paper(lines.size());
  for (const Paper& paper : papers) {
    const Detection* best = nullptr;
    for (size_t i = 0; i < lines.size(); ++i) {
      if (!IsLineOf(paper, lines[i])) continue;
      on_paper[i] = true;
      if (best == nullptr) best = &lines[i];
    }
    const size_t fewest = IsStack(paper) ? kFewestOfStack : kFewest;
    if (best == nullptr && paper.characters < fewest) continue;
    Detection plate = PlateOf(paper);
    const auto levels = static_cast<float>(std::min(paper.levels, kMostLevels) - 1);
    if (best != nullptr) {
      plate.score = std::max(plate.score, best->score);
      plate.box = BoxOfPlate(paper.box, *best);
      plate.looks = {*best};
    }
    plate.score += (best != nullptr ? kOfLevelOfLine : kOfLevel) * levels;
    plates.push_back(std::move(plate));
  }
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!on_paper[i] && lines[i].score >= kLeastAlone) plates.push_back(std::move(lines[i]));
  }
  return plates;
}

// Its line keeps its height and its slope.
Detection Trimmed(const cv::Mat& picture, Detection part) {
  const cv::Mat crop = CropUpright(picture, part);
  const cv::Range columns = crop.empty() ? cv::Range() : InkColumns(crop);
  if (columns.start >= columns.end) return part;
  const Box whole = part.box;
  const float margin = kInkMargin * static_cast<float>(crop.rows);
  part.box.left = std::max(whole.left, whole.left + static_cast<float>(columns.start) - margin);
  part.box.right = std::min(whole.right, whole.left + static_cast<float>(columns.end) + margin);
  // The box of a slope is as much lower as it is narrower.
  const float moved = (part.box.left + part.box.right - whole.left - whole.right) / 2;
  const float middle = (whole.top + whole.bottom) / 2 + part.slope * moved;
  const float half = (LineHeight(whole, part.slope) + std::abs(part.slope) * part.box.width()) / 2;
  part.box.top = middle - half;
  part.box.bottom = middle + half;
  return part;
}

void TrimLines(const cv::Mat& picture, std::vector<Detection>* plates) {
  for (Detection& plate : *plates) {
    for (Detection& line : plate.lines) {
      if (line.characters == 0) line = Trimmed(picture, std::move(line));
    }
  }
}

const std::vector<Paper>& PaperFinder::Find(const cv::Mat& picture) {
  papers_.clear();
  const float scale =
      std::min(1.0F, static_cast<float>(kWidest) / static_cast<float>(picture.cols));
  const cv::Size size(std::max(1, static_cast<int>(static_cast<float>(picture.cols) * scale)),
                      std::max(1, static_cast<int>(static_cast<float>(picture.rows) * scale)));
  cv::resize(picture, scaled_, size, 0, 0, cv::INTER_AREA);
  if (picture.channels() == 1) {
    FindAtLevels(scaled_, kLevelStep, kHighestLevel, scale);
  } else {
    cv::cvtColor(scaled_, grey_, cv::COLOR_BGR2GRAY);
    FindAtLevels(grey_, kLevelStep, kHighestLevel, scale);
    // How far a colour is from grey: what separates a green plate from bodywork as bright as it is.
    cv::split(scaled_, channels_);
    cv::max(channels_[0], channels_[1], colour_);
    cv::max(colour_, channels_[2], colour_);
    cv::min(channels_[0], channels_[1], grey_);
    cv::min(grey_, channels_[2], grey_);
    cv::subtract(colour_, grey_, colour_);
    FindAtLevels(colour_, kColourStep, kStrongest, scale);
  }
  std::stable_sort(papers_.begin(), papers_.end(),
                   [](const Paper& a, const Paper& b) { return a.levels > b.levels; });
  if (papers_.size() > kMostPapers) papers_.resize(kMostPapers);
  return papers_;
}

void PaperFinder::FindAtLevels(const cv::Mat& plane, int step, int highest, float scale) {
  for (int level = step; level <= highest; level += step) {
    FindAtLevel(plane, level, scale);
  }
}

void PaperFinder::FindAtLevel(const cv::Mat& plane, int level, float scale) {
  cv::compare(plane, level, mask_, cv::CMP_GT);
  // All of them: a plate may lie in a window, a grille or its own holder.
  cv::findContours(mask_, contours_, cv::RETR_LIST, cv::CHAIN_APPROX_SIMPLE);
  const size_t count = std::min(contours_.size(), kMostContours);
  for (size_t i = 0; i < count; ++i) {
    std::optional<Paper> paper = PaperOf(contours_[i], plane.cols / kWidestPart);
    if (!paper) continue;
    paper->box = Scaled(paper->box, 1 / scale);
    Add(*paper);
  }
}

void PaperFinder::Add(const Paper& paper) {
  const auto same = std::find_if(papers_.begin(), papers_.end(), [&](const Paper& other) {
    return Iou(other.box, paper.box) > kSame;
  });
  if (same != papers_.end()) {
    ++same->levels;
  } else if (papers_.size() < kMostAtOnce) {
    papers_.push_back(paper);
  }
}

}  // namespace viaduct::hailo_lpr
