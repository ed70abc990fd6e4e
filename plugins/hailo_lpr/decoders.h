// From the outputs of models to boxes; the same for every library that runs them. What a
// model gives is not trusted: shapes are checked, numbers that are none are left out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "opencv2/core.hpp"
#include "plugins/hailo_lpr/detection.h"
#include "plugins/hailo_lpr/tensor.h"

namespace viaduct::hailo_lpr {

struct DecodeOptions {
  float least_score = 0.3F;
  float most_common = 0.45F;  // IoU; boxes that overlap more are one.
  size_t limit = 100;
};

// HAILO_FORMAT_ORDER_HAILO_NMS and HAILO_NMS_BY_CLASS: for each class a count, then so many of
// {y_min, x_min, y_max, x_max, score}, packed. Boxes in parts of the input.
absl::Status DecodeNmsByClass(const std::vector<float>& values, size_t classes,
                              size_t most_of_a_class, const DecodeOptions& options,
                              std::vector<Detection>* found);

// HAILO_FORMAT_ORDER_HAILO_NMS_BY_SCORE: a count (uint16), then so many of {y_min, x_min, y_max,
// x_max, score, class (uint16)}, packed. Boxes in parts of the input.
absl::Status DecodeNmsByScore(const std::vector<uint8_t>& octets, const DecodeOptions& options,
                              std::vector<Detection>* found);

// YOLOv8 before its last step: for each stride a tensor (rows, columns, 64) of distances to the
// four sides, 16 bins each, and one (rows, columns, classes) of scores, in any order; a first size
// of 1 is left out. `logits`: the scores have not been through a sigmoid. Boxes in pixels of the
// input.
absl::Status DecodeYolo8Heads(const std::vector<Tensor>& outputs, cv::Size input, bool logits,
                              const DecodeOptions& options, std::vector<Detection>* found);

// YOLOv8 as its authors export it: one tensor (1, 4 + classes, boxes). Boxes in pixels of the
// input.
absl::Status DecodeYolo8(const Tensor& output, const DecodeOptions& options,
                         std::vector<Detection>* found);

// Whose anchors a Tiny YOLOv4 has.
enum class TinyAnchors {
  kAuthors,
  kHailoPlates,  // tiny_yolov4_license_plates of Hailo's model zoo.
};

// A stride of Tiny YOLOv4 is one tensor, or four as Hailo's compiler leaves it.
enum class TinyPart { kWhole, kCentres, kScales, kObjects, kClasses };
inline constexpr size_t kTinyParts = 4;
// By the end of its name: "_centers", "_scales", "_obj", "_probs".
TinyPart TinyPartOf(const std::string& name);

// Tiny YOLOv4: tensors (rows, columns, 3 * (5 + classes)) of strides 32 and 16, in any order; or
// each of them in its four parts, of which all but the scales have been through their sigmoid.
// Boxes in pixels of the input.
absl::Status DecodeTinyYolo4(const std::vector<Tensor>& outputs, cv::Size input,
                             TinyAnchors anchors, const DecodeOptions& options,
                             std::vector<Detection>* found);

}  // namespace viaduct::hailo_lpr
