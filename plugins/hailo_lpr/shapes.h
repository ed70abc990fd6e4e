// The connected shapes of a mask: where each is and how much of it is set. Faster than OpenCV's
// labels for this, because no picture of labels is written: rows are joined run by run.
#pragma once

#include <cstdint>
#include <vector>

#include "opencv2/core.hpp"

namespace viaduct::hailo_lpr {

// What may be a character, in pixels.
struct Shape {
  float left = 0;
  float top = 0;
  float width = 0;
  float height = 0;

  float right() const { return left + width; }
  float middle_x() const { return left + width / 2; }
  float middle_y() const { return top + height / 2; }
};

// Eight-connected, in the order of their first row. Keeps its memory from mask to mask: at most
// what a chessboard of the size needs. One thread at a time.
class ShapeFinder {
 public:
  struct Extent {
    int left = 0;
    int top = 0;
    int right = 0;   // Outside.
    int bottom = 0;  // Outside.
    int area = 0;
  };

  // `mask` has 8 bits a pixel: 0 is nothing. The result is valid until the next call.
  const std::vector<Extent>& Find(const cv::Mat& mask);

 private:
  struct Run {
    int begin = 0;
    int end = 0;  // Outside.
    int shape = 0;
  };

  void ReadRuns(const uint8_t* row, int columns);
  int NewShape(const Run& run, int row);
  int Root(int shape);
  int Join(int a, int b);

  std::vector<Run> above_, runs_;
  std::vector<int> parents_;
  std::vector<Extent> extents_;
  std::vector<Extent> found_;
};

}  // namespace viaduct::hailo_lpr
