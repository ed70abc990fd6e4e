// Runs a model: numbers in, numbers out. What they mean is known to its caller.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "opencv2/core.hpp"
#include "plugins/hailo_lpr/tensor.h"

namespace viaduct::hailo_lpr {

// One thread at a time.
class Runner {
 public:
  virtual ~Runner() = default;
  // The one size that it takes: 1 x channels x rows x columns.
  virtual const TensorShape& input() const = 0;
  // `input` has that size and 32-bit floats. The outputs keep their memory from run to run.
  virtual absl::Status Run(const cv::Mat& input, std::vector<Tensor>* outputs) = 0;
};

}  // namespace viaduct::hailo_lpr
