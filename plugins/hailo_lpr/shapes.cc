#include "plugins/hailo_lpr/shapes.h"

#include <endian.h>

#include <algorithm>
#include <cstring>

namespace viaduct::hailo_lpr {
namespace {

constexpr int kAtOnce = 8;  // Pixels; most of a mask is nothing, and most runs are short.

// The lowest octet is the first pixel.
uint64_t Eight(const uint8_t* at) {
  uint64_t eight = 0;
  std::memcpy(&eight, at, sizeof(eight));
  return le64toh(eight);
}

int LowestOctet(uint64_t bits) { return __builtin_ctzll(bits) / kAtOnce; }

// The first pixel from x on that is set, `columns` where none is.
int FirstSet(const uint8_t* row, int x, int columns) {
  for (; x + kAtOnce <= columns; x += kAtOnce) {
    const uint64_t eight = Eight(row + x);
    if (eight != 0) return x + LowestOctet(eight);
  }
  while (x < columns && row[x] == 0) ++x;
  return x;
}

// The same of one that is not set.
int FirstUnset(const uint8_t* row, int x, int columns) {
  constexpr uint64_t kLowBits = 0x0101010101010101U;
  constexpr uint64_t kHighBits = 0x8080808080808080U;
  for (; x + kAtOnce <= columns; x += kAtOnce) {
    const uint64_t eight = Eight(row + x);
    // The lowest octet that is 0 is the first to borrow.
    const uint64_t zeros = (eight - kLowBits) & ~eight & kHighBits;
    if (zeros != 0) return x + LowestOctet(zeros);
  }
  while (x < columns && row[x] != 0) ++x;
  return x;
}

}  // namespace

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

void ShapeFinder::ReadRuns(const uint8_t* row, int columns) {
  runs_.clear();
  for (int x = FirstSet(row, 0, columns); x < columns; x = FirstSet(row, x, columns)) {
    Run run;
    run.begin = x;
    x = run.end = FirstUnset(row, x, columns);
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
