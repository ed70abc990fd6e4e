// The texts that a recogniser's output says when it has a place, a slot, for each character of a
// plate (fast-plate-ocr and its like).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "plugins/hailo_lpr/reading.h"
#include "plugins/hailo_lpr/tensor.h"

namespace viaduct::hailo_lpr {

struct SlotOptions {
  std::vector<std::string> alphabet;  // Every class, in order, also the one that fills up.
  std::string padding = "_";          // That one.
};

inline constexpr size_t kMostSlots = 32;

// The output is slots x classes of probabilities, in one size or two beside those of 1. At most
// kMostReadings (ctc.h), the likeliest first; none of them is empty unless it is the likeliest.
absl::Status DecodeSlots(const Tensor& output, const SlotOptions& options,
                         std::vector<Reading>* readings);

}  // namespace viaduct::hailo_lpr
