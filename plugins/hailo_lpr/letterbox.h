// A picture in the size of a model's input: the proportions kept, the rest filled with grey.
#pragma once

#include "opencv2/core.hpp"
#include "plugins/hailo_lpr/detection.h"

namespace viaduct::hailo_lpr {

class Letterbox {
 public:
  // Where a picture of size `from` lies in an input of size `to`, both at least 1x1.
  Letterbox(cv::Size from, cv::Size to);

  // Copies `picture` (of size `from`) into `input`, which keeps its memory when it has the size.
  void Fill(const cv::Mat& picture, cv::Mat* input) const;
  // A box of the input, in pixels, as one of the picture; cut at its edges.
  Box Undo(const Box& box) const;
  // The same for a box in parts of the input's width and height.
  Box UndoNormalised(const Box& box) const;

 private:
  cv::Size from_;
  cv::Size to_;
  float scale_;
  cv::Rect inside_;
};

}  // namespace viaduct::hailo_lpr
