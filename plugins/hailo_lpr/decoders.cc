#include "plugins/hailo_lpr/decoders.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace viaduct::hailo_lpr {
namespace {

constexpr int kSides = 4;
constexpr int kBins = 16;  // Of a distance in YOLOv8.
constexpr int kAnchors = 3;
constexpr int kAnchorFields = 5;  // x, y, width, height, and that there is something.
// In pixels of an input of 416, by TinyAnchors and stride.
using AnchorSizes = std::array<std::array<float, 2 * kAnchors>, 2>;
constexpr std::array<AnchorSizes, 2> kTinyAnchors = {
    {{{{81, 82, 135, 169, 344, 319}, {23, 27, 37, 58, 81, 82}}},
     {{{81, 82, 135, 169, 344, 319}, {10, 14, 23, 27, 37, 58}}}}};
constexpr std::array<int, 2> kTinyStrides = {32, 16};
constexpr float kTinyScale = 1.05F;  // scale_x_y of its configuration.
constexpr float kMostExponent = 10;

float Sigmoid(float value) { return 1 / (1 + std::exp(-value)); }

absl::Status Shape(const Tensor& tensor, std::string_view wanted) {
  return absl::InvalidArgumentError(absl::StrCat("model: output ", tensor.name, " is ",
                                                 absl::StrJoin(tensor.shape.sizes, "x"), ", not ",
                                                 absl::string_view(wanted.data(), wanted.size())));
}

bool Usable(const Detection& one, const DecodeOptions& options) {
  return one.score >= options.least_score && std::isfinite(one.score) &&
         std::isfinite(one.box.area()) && one.box.width() > 0 && one.box.height() > 0;
}

// Rows, columns and channels of a tensor whose first size may be a batch of one.
struct Grid {
  int rows = 0;
  int columns = 0;
  int channels = 0;
  const float* values = nullptr;

  const float* at(int row, int column) const {
    return values + (static_cast<ptrdiff_t>(row) * columns + column) * channels;
  }
};

absl::Status ReadGrid(const Tensor& tensor, Grid* grid) {
  std::vector<int> sizes = tensor.shape.sizes;
  if (sizes.size() == 4 && sizes[0] == 1) sizes.erase(sizes.begin());
  if (sizes.size() != 3 || *std::min_element(sizes.begin(), sizes.end()) < 1 ||
      tensor.values.size() != tensor.shape.elements()) {
    return Shape(tensor, "rows x columns x channels");
  }
  *grid = {sizes[0], sizes[1], sizes[2], tensor.values.data()};
  return absl::OkStatus();
}

// The mean of the bins, each weighted by its softmax: a distance in strides.
float Distance(const float* bins) {
  const float most = *std::max_element(bins, bins + kBins);
  float sum = 0;
  float weighted = 0;
  for (int i = 0; i < kBins; ++i) {
    const float weight = std::exp(bins[i] - most);
    sum += weight;
    weighted += weight * static_cast<float>(i);
  }
  return weighted / sum;
}

void AddHead(const Grid& sides, const Grid& scores, float stride, bool logits,
             const DecodeOptions& options, std::vector<Detection>* found) {
  for (int row = 0; row < scores.rows; ++row) {
    for (int column = 0; column < scores.columns; ++column) {
      const float* score = scores.at(row, column);
      const float* best = std::max_element(score, score + scores.channels);
      Detection one;
      one.score = logits ? Sigmoid(*best) : *best;
      if (!(one.score >= options.least_score)) continue;
      one.label = static_cast<int>(best - score);
      const float* bins = sides.at(row, column);
      const float x = static_cast<float>(column) + 0.5F;
      const float y = static_cast<float>(row) + 0.5F;
      one.box = {(x - Distance(bins)) * stride, (y - Distance(bins + kBins)) * stride,
                 (x + Distance(bins + 2 * kBins)) * stride,
                 (y + Distance(bins + 3 * kBins)) * stride};
      if (Usable(one, options)) found->push_back(one);
    }
  }
}

// One stride of Tiny YOLOv4: where each part of an anchor's fields begins.
struct AnchorGrid {
  Grid centres, scales, objects, classes;
  bool activated = false;  // All but the scales have been through their sigmoid.

  // Of `anchor` in the cell; a whole tensor has its fields one behind the other.
  static const float* At(const Grid& grid, int row, int column, int anchor) {
    return grid.at(row, column) + static_cast<ptrdiff_t>(anchor) * (grid.channels / kAnchors);
  }
};

void AddAnchors(const AnchorGrid& grid, float stride, const std::array<float, 2 * kAnchors>& sizes,
                const DecodeOptions& options, std::vector<Detection>* found) {
  const auto likely = [&](float value) { return grid.activated ? value : Sigmoid(value); };
  const int classes = grid.classes.channels / kAnchors - (grid.activated ? 0 : kAnchorFields);
  for (int at = 0; at < grid.centres.rows * grid.centres.columns * kAnchors; ++at) {
    const int anchor = at % kAnchors;
    const int column = at / kAnchors % grid.centres.columns;
    const int row = at / kAnchors / grid.centres.columns;
    const float* centre = AnchorGrid::At(grid.centres, row, column, anchor);
    const float* scale = AnchorGrid::At(grid.scales, row, column, anchor);
    const float* first = AnchorGrid::At(grid.classes, row, column, anchor);
    const float* best = std::max_element(first, first + classes);
    Detection one;
    one.score = likely(*AnchorGrid::At(grid.objects, row, column, anchor)) * likely(*best);
    one.label = static_cast<int>(best - first);
    const auto middle = [&](float value, int cell) {
      return (likely(value) * kTinyScale - (kTinyScale - 1) / 2 + static_cast<float>(cell)) *
             stride;
    };
    const auto size = [&](float value, int side) {
      return std::exp(std::min(value, kMostExponent)) *
             sizes[2 * static_cast<size_t>(anchor) + static_cast<size_t>(side)];
    };
    const float x = middle(centre[0], column);
    const float y = middle(centre[1], row);
    const float width = size(scale[0], 0);
    const float height = size(scale[1], 1);
    one.box = {x - width / 2, y - height / 2, x + width / 2, y + height / 2};
    if (Usable(one, options)) found->push_back(one);
  }
}

// The same tensor with its channels further on.
Grid Behind(Grid grid, int channels) {
  grid.values += channels;
  return grid;
}

// Puts a whole stride among `strides`, or a part to the others of its size.
absl::Status AddTinyPart(const Tensor& output, std::vector<AnchorGrid>* strides) {
  Grid grid;
  if (absl::Status read = ReadGrid(output, &grid); !read.ok()) return read;
  const TinyPart part = TinyPartOf(output.name);
  if (part == TinyPart::kWhole) {
    if (grid.channels % kAnchors != 0 || grid.channels / kAnchors <= kAnchorFields) {
      return Shape(output, "a grid of 3 x (5 + classes) channels");
    }
    strides->push_back({grid, Behind(grid, 2), Behind(grid, 4), Behind(grid, kAnchorFields)});
    return absl::OkStatus();
  }
  const bool pairs = part == TinyPart::kCentres || part == TinyPart::kScales;
  const bool fits = part == TinyPart::kClasses ? grid.channels % kAnchors == 0
                                               : grid.channels == (pairs ? 2 : 1) * kAnchors;
  auto stride = std::find_if(strides->begin(), strides->end(), [&](const AnchorGrid& one) {
    const auto same = [&](const Grid& other) {
      return other.rows == grid.rows && other.columns == grid.columns;
    };
    return one.activated &&
           (same(one.centres) || same(one.scales) || same(one.objects) || same(one.classes));
  });
  if (stride == strides->end()) stride = strides->insert(stride, AnchorGrid{{}, {}, {}, {}, true});
  const std::array<Grid*, kTinyParts> places = {&stride->centres, &stride->scales, &stride->objects,
                                                &stride->classes};
  Grid* place = places[static_cast<size_t>(part) - 1];
  if (!fits || place->values != nullptr) {
    return Shape(output, "a part of Tiny YOLOv4 with 3 anchors, once for each stride");
  }
  *place = grid;
  return absl::OkStatus();
}

}  // namespace

absl::Status DecodeNmsByClass(const std::vector<float>& values, size_t classes,
                              size_t most_of_a_class, const DecodeOptions& options,
                              std::vector<Detection>* found) {
  constexpr size_t kFields = 5;
  found->clear();
  size_t at = 0;
  for (size_t label = 0; label < classes; ++label) {
    if (at >= values.size()) return absl::InvalidArgumentError("model: NMS output: too short");
    const float count = values[at++];
    const bool fits = count >= 0 && count <= static_cast<float>(most_of_a_class) &&
                      count * kFields <= static_cast<float>(values.size() - at);
    if (!fits) return absl::InvalidArgumentError("model: NMS output: a count that cannot be");
    for (size_t i = 0; i < static_cast<size_t>(count); ++i, at += kFields) {
      Detection one;
      one.box = {values[at + 1], values[at], values[at + 3], values[at + 2]};
      one.score = values[at + 4];
      one.label = static_cast<int>(label);
      if (Usable(one, options)) found->push_back(one);
    }
  }
  KeepBest(options.most_common, options.limit, found);
  return absl::OkStatus();
}

absl::Status DecodeNmsByScore(const std::vector<uint8_t>& octets, const DecodeOptions& options,
                              std::vector<Detection>* found) {
  constexpr size_t kFloats = 5;
  constexpr size_t kOctets = kFloats * sizeof(float) + sizeof(uint16_t);
  found->clear();
  uint16_t count = 0;
  if (octets.size() < sizeof(count)) {
    return absl::InvalidArgumentError("model: NMS output: too short");
  }
  std::memcpy(&count, octets.data(), sizeof(count));
  if (count * kOctets > octets.size() - sizeof(count)) {
    return absl::InvalidArgumentError("model: NMS output: a count that cannot be");
  }
  const uint8_t* at = octets.data() + sizeof(count);
  for (uint16_t i = 0; i < count; ++i, at += kOctets) {
    std::array<float, kFloats> values{};
    uint16_t label = 0;
    std::memcpy(values.data(), at, sizeof(values));
    std::memcpy(&label, at + sizeof(values), sizeof(label));
    Detection one;
    one.box = {values[1], values[0], values[3], values[2]};
    one.score = values[4];
    one.label = label;
    if (Usable(one, options)) found->push_back(one);
  }
  KeepBest(options.most_common, options.limit, found);
  return absl::OkStatus();
}

absl::Status DecodeYolo8Heads(const std::vector<Tensor>& outputs, cv::Size input, bool logits,
                              const DecodeOptions& options, std::vector<Detection>* found) {
  found->clear();
  std::vector<Grid> grids(outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (absl::Status read = ReadGrid(outputs[i], &grids[i]); !read.ok()) return read;
  }
  size_t heads = 0;
  for (const Grid& sides : grids) {
    if (sides.channels != kSides * kBins) continue;
    const auto scores = std::find_if(grids.begin(), grids.end(), [&](const Grid& other) {
      return other.values != sides.values && other.rows == sides.rows &&
             other.columns == sides.columns;
    });
    if (scores == grids.end() || input.height % sides.rows != 0) {
      return absl::InvalidArgumentError("model: a head of YOLOv8 has no scores of its size");
    }
    ++heads;
    const int stride = input.height / sides.rows;
    AddHead(sides, *scores, static_cast<float>(stride), logits, options, found);
  }
  if (heads == 0) return absl::InvalidArgumentError("model: no output has 64 channels (YOLOv8)");
  KeepBest(options.most_common, options.limit, found);
  return absl::OkStatus();
}

absl::Status DecodeYolo8(const Tensor& output, const DecodeOptions& options,
                         std::vector<Detection>* found) {
  found->clear();
  const std::vector<int>& sizes = output.shape.sizes;
  if (sizes.size() != 3 || sizes[0] != 1 || sizes[1] <= kSides || sizes[2] < 1 ||
      output.values.size() != output.shape.elements()) {
    return Shape(output, "1 x (4 + classes) x boxes");
  }
  const auto boxes = static_cast<size_t>(sizes[2]);
  const auto value = [&](int row, size_t box) {
    return output.values[static_cast<size_t>(row) * boxes + box];
  };
  for (size_t box = 0; box < boxes; ++box) {
    Detection one;
    for (int row = kSides; row < sizes[1]; ++row) {
      if (!(value(row, box) > one.score)) continue;
      one.score = value(row, box);
      one.label = row - kSides;
    }
    const float x = value(0, box);
    const float y = value(1, box);
    const float width = value(2, box);
    const float height = value(3, box);
    one.box = {x - width / 2, y - height / 2, x + width / 2, y + height / 2};
    if (Usable(one, options)) found->push_back(one);
  }
  KeepBest(options.most_common, options.limit, found);
  return absl::OkStatus();
}

TinyPart TinyPartOf(const std::string& name) {
  constexpr std::array<absl::string_view, kTinyParts> kEnds = {"_centers", "_scales", "_obj",
                                                               "_probs"};
  for (size_t i = 0; i < kEnds.size(); ++i) {
    if (absl::EndsWith(name, kEnds[i])) return static_cast<TinyPart>(i + 1);
  }
  return TinyPart::kWhole;
}

absl::Status DecodeTinyYolo4(const std::vector<Tensor>& outputs, cv::Size input,
                             TinyAnchors anchors, const DecodeOptions& options,
                             std::vector<Detection>* found) {
  found->clear();
  std::vector<AnchorGrid> strides;
  for (const Tensor& output : outputs) {
    if (absl::Status added = AddTinyPart(output, &strides); !added.ok()) return added;
  }
  const AnchorSizes& sizes = kTinyAnchors[static_cast<size_t>(anchors)];
  for (const AnchorGrid& grid : strides) {
    for (const Grid& part : {grid.centres, grid.scales, grid.objects, grid.classes}) {
      if (part.values == nullptr) {
        return absl::InvalidArgumentError("model: a stride of Tiny YOLOv4 has not its four parts");
      }
    }
    const auto stride =
        std::find(kTinyStrides.begin(), kTinyStrides.end(), input.height / grid.centres.rows);
    if (stride == kTinyStrides.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("model: a grid of ", grid.centres.rows, " rows is not of stride 32 or 16"));
    }
    AddAnchors(grid, static_cast<float>(*stride),
               sizes[static_cast<size_t>(stride - kTinyStrides.begin())], options, found);
  }
  KeepBest(options.most_common, options.limit, found);
  return absl::OkStatus();
}

}  // namespace viaduct::hailo_lpr
