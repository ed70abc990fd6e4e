// The outlines of what may be plates: areas of one brightness or colour with four straight edges,
// lighter or darker than what is around them. They help where characters alone make no line: few of
// them on a plate, or letters that touch what stands below them.
#pragma once

#include <vector>

#include "opencv2/core.hpp"
#include "plugins/hailo_lpr/detection.h"
#include "plugins/hailo_lpr/shapes.h"

namespace viaduct::hailo_lpr {

struct Paper {
  Box box;  // Upright: with a slope it is higher than the paper.
  float slope = 0;
  int levels = 1;         // Of brightness or colour, at which it is one area.
  size_t characters = 0;  // Of like height on one line: the most of all contrasts.

  float height() const { return LineHeight(box, slope); }
  // y of its middle at x.
  float MiddleAt(float x) const {
    return (box.top + box.bottom) / 2 + slope * (x - (box.left + box.right) / 2);
  }
};

// Keeps its memory from picture to picture. One thread at a time.
class PaperFinder {
 public:
  static constexpr size_t kMostPapers = 48;
  // Contours of one level that are looked at; more are noise.
  static constexpr size_t kMostContours = 4'000;

  // `picture` has 8 bits a channel, grey or BGR; a coloured paper is found by its colour as well.
  // Those that keep their form at most levels first; valid until the next call.
  const std::vector<Paper>& Find(const cv::Mat& picture);

 private:
  void FindAtLevels(const cv::Mat& plane, int step, int highest, float scale);
  void FindAtLevel(const cv::Mat& plane, int level, float scale);
  void Add(const Paper& paper);

  cv::Mat scaled_, grey_, colour_, mask_;
  std::vector<cv::Mat> channels_;
  std::vector<std::vector<cv::Point>> contours_;
  std::vector<Paper> papers_;
};

// Counts for each paper the shapes on it that may be characters of one plate. `shapes`, in the
// order of their left edges, are of one contrast in a picture that is `scale` of that of the
// papers.
void CountCharacters(const std::vector<Shape>& shapes, float scale, std::vector<Paper>* papers);

// Plates from papers with characters and from lines of characters: a paper and the best line on it
// are one plate, cut in two ways. `lines`, the best first, are of the picture of the papers.
std::vector<Detection> JoinPapers(const std::vector<Paper>& papers, std::vector<Detection> lines);

// A part of a paper without its empty sides.
Detection Trimmed(const cv::Mat& picture, Detection part);

// Cuts the empty sides off the lines of stacks that are parts of papers. Those that were found by
// their characters have none.
void TrimLines(const cv::Mat& picture, std::vector<Detection>* plates);

}  // namespace viaduct::hailo_lpr
