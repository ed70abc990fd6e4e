// Pictures with what is written on their plates, as they lie in a folder: beside street.jpg a
// street.txt with one line a plate - file name, x, y, width, height, text, and where there is one
// the province, separated by tabs. A picture without plates has an empty file.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace viaduct::eval {

// Pixels, x to the right and y down; the right and lower edges are outside.
struct Box {
  double left = 0;
  double top = 0;
  double right = 0;
  double bottom = 0;

  double area() const { return std::max(right - left, 0.0) * std::max(bottom - top, 0.0); }
};
double Common(const Box& a, const Box& b);  // The area of both.
double Iou(const Box& a, const Box& b);

struct TruePlate {
  Box box;
  std::string text;
  std::string province;
};

struct TruePicture {
  std::string path;
  std::string name;  // Below the folder.
  std::vector<TruePlate> plates;
};

struct PictureSet {
  std::string name;
  std::vector<TruePicture> pictures;  // By name.
  std::vector<std::string> without;   // Pictures without ground truth.
  std::vector<std::string> bad;       // Ground truth that can not be read, and why.
};

inline constexpr size_t kMaxPictures = 200'000;  // Of all sets.
inline constexpr size_t kMaxSets = 1'000;
inline constexpr size_t kMaxPlates = 100;  // Of a picture.
inline constexpr size_t kMaxTruthBytes = 64u << 10;

// The folder itself is a set where it has pictures (*.jpg, *.jpeg, *.png), and so is each folder in
// it. NOT_FOUND: no folder, or no picture; RESOURCE_EXHAUSTED: too many.
absl::StatusOr<std::vector<PictureSet>> ReadSets(const std::string& folder);

// One file's text. INVALID_ARGUMENT names the line.
absl::StatusOr<std::vector<TruePlate>> ParseTruth(const std::string& text);

}  // namespace viaduct::eval
