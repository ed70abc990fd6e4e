// The texts that a recogniser's output says: connectionist temporal classification (Graves and
// others, 2006), decoded by prefix search.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "plugins/hailo_lpr/reading.h"
#include "plugins/hailo_lpr/tensor.h"

namespace viaduct::hailo_lpr {

struct CtcOptions {
  std::vector<std::string> alphabet;  // Classes but for the blank, in order.
  size_t blank = 0;                   // The class of "nothing".
  // The output is classes x places, as convolutions leave it, not places x classes.
  bool classes_first = false;
  bool logits = true;     // The output has not been through a softmax.
  float temperature = 1;  // Logits are divided by it; what calibration found.
};

// At most so many readings, the likeliest first; none of them is empty unless it is the likeliest.
inline constexpr size_t kMostReadings = 8;

// Sizes of 1 in the output's shape are left out. The confidence of a reading is the sum over all
// the ways to write it, that of a character the best of its places.
absl::Status DecodeCtc(const Tensor& output, const CtcOptions& options,
                       std::vector<Reading>* readings);

}  // namespace viaduct::hailo_lpr
