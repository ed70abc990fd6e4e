#include "plugins/hailo_lpr/shapes.h"

#include <algorithm>
#include <cstring>

namespace viaduct::hailo_lpr {

const std::vector<ShapeFinder::Extent>& ShapeFinder::Find(const cv::Mat& mask) {
  above_.clear();
  parents_.clear();
  extents_.clear();
  found_.clear();
  for (int row = 0; row < mask.rows; ++row) {
    ReadRuns(mask.ptr<uint8_t>(row), mask.cols);
    size_t over = 0;
    for (Run& run : runs_) {
      while (over < above_.size() && above_[over].end < run.begin) ++over;
      int shape = -1;
      // A run of the row above may touch this run and the next one, also by a corner.
      for (size_t i = over; i < above_.size() && above_[i].begin <= run.end; ++i) {
        const int other = Root(above_[i].shape);
        shape = shape < 0 ? other : Join(shape, other);
      }
      if (shape < 0) {
        run.shape = NewShape(run, row);
        continue;
      }
      run.shape = shape;
      Extent& extent = extents_[static_cast<size_t>(shape)];
      extent.left = std::min(extent.left, run.begin);
      extent.right = std::max(extent.right, run.end);
      extent.bottom = row + 1;
      extent.area += run.end - run.begin;
    }
    above_.swap(runs_);
  }
  for (size_t i = 0; i < parents_.size(); ++i) {
    if (parents_[i] == static_cast<int>(i)) found_.push_back(extents_[i]);
  }
  return found_;
}

// Most of a mask is nothing: eight pixels of it at a time.
void ShapeFinder::ReadRuns(const uint8_t* row, int columns) {
  runs_.clear();
  int x = 0;
  while (x < columns) {
    uint64_t eight = 0;
    while (x + 8 <= columns) {
      std::memcpy(&eight, row + x, sizeof(eight));
      if (eight != 0) break;
      x += 8;
    }
    while (x < columns && row[x] == 0) ++x;
    if (x == columns) return;
    Run run;
    run.begin = x;
    while (x < columns && row[x] != 0) ++x;
    run.end = x;
    runs_.push_back(run);
  }
}

int ShapeFinder::NewShape(const Run& run, int row) {
  const auto shape = static_cast<int>(parents_.size());
  parents_.push_back(shape);
  extents_.push_back({run.begin, row, run.end, row + 1, run.end - run.begin});
  return shape;
}

int ShapeFinder::Root(int shape) {
  while (parents_[static_cast<size_t>(shape)] != shape) {
    const auto at = static_cast<size_t>(shape);
    parents_[at] = parents_[static_cast<size_t>(parents_[at])];
    shape = parents_[at];
  }
  return shape;
}

int ShapeFinder::Join(int a, int b) {
  if (a == b) return a;
  if (b < a) std::swap(a, b);
  parents_[static_cast<size_t>(b)] = a;
  Extent& to = extents_[static_cast<size_t>(a)];
  const Extent& from = extents_[static_cast<size_t>(b)];
  to.left = std::min(to.left, from.left);
  to.top = std::min(to.top, from.top);
  to.right = std::max(to.right, from.right);
  to.bottom = std::max(to.bottom, from.bottom);
  to.area += from.area;
  return a;
}

}  // namespace viaduct::hailo_lpr
