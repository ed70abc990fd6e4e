// Finds plates without a model: shapes of like height side by side on one line, dark on light or
// light on dark, at several scales and contrasts, and outlines of plates with such shapes on them.
// It proposes; the recogniser decides.
#pragma once

#include <cmath>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "opencv2/core.hpp"
#include "plugins/hailo_lpr/detection.h"
#include "plugins/hailo_lpr/papers.h"
#include "plugins/hailo_lpr/shapes.h"

namespace viaduct::hailo_lpr {

class CharacterLines final : public Detector {
 public:
  static constexpr size_t kMostFound = 5;
  // Lines that are looked for on the outlines of plates.
  static constexpr size_t kMostLines = 20;
  // A picture that is wider is looked at in this width.
  static constexpr int kWidest = 1280;
  // More shapes of one contrast are foliage or noise: the rest of them is left out.
  static constexpr size_t kMostShapes = 4'000;

  absl::Status Detect(const cv::Mat& picture, std::vector<Detection>* found) override;

 private:
  struct Line {
    Box box;
    size_t count = 0;
    float height = 0;  // Of its characters: the median.
    float slope = 0;
    float score = 0;
  };
  struct Fit {
    float slope = 0;
    float at_zero = 0;  // y of the line at x = 0.
    float height = 0;

    float Off(const Shape& shape) const {
      return std::abs(shape.middle_y() - slope * shape.middle_x() - at_zero);
    }
  };

  std::vector<Paper> FindAtScales(const cv::Mat& picture, std::vector<Detection>* found);
  void FindAtScale(const cv::Mat& grey, float scale, std::vector<Paper>* papers,
                   std::vector<Detection>* found);
  void FindShapes();
  void JoinShapes(const cv::Mat& grey, bool dark, float scale, std::vector<Detection>* found);
  static bool Neighbours(const Shape& a, const Shape& b);
  static Fit FitLine(const std::vector<Shape>& shapes);
  static void SplitLines(std::vector<Shape> group, std::vector<Line>* lines);
  static Line Rate(const std::vector<Shape>& shapes);
  void Extend(Line* line) const;
  static bool OnLine(const Line& line, const Shape& shape);
  static std::vector<std::pair<Line, Line>> Stacks(const std::vector<Line>& lines);
  static bool Stacked(const Line& upper, const Line& lower);
  static Detection PlateOf(const cv::Mat& grey, const Line& line, bool dark, float scale);
  static void AddPlate(const cv::Mat& grey, const Line& line, bool dark, float scale,
                       std::vector<Detection>* found);
  static void AddStack(const cv::Mat& grey, const Line& upper, const Line& lower, bool dark,
                       float scale, std::vector<Detection>* found);

  // Kept from picture to picture, so that little is allocated anew.
  cv::Mat grey_, scaled_, mean_, threshold_, mask_;
  ShapeFinder finder_;
  PaperFinder paper_finder_;
  std::vector<Shape> shapes_;
  std::vector<int> parents_;
};

}  // namespace viaduct::hailo_lpr
