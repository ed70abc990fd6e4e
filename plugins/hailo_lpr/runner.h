// Runs a model: numbers in, numbers out. What they mean is known to its caller.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "opencv2/core.hpp"
#include "plugins/hailo_lpr/backend_health.h"
#include "plugins/hailo_lpr/tensor.h"

namespace viaduct::hailo_lpr {

// From the octets of a picture to the numbers that a model was trained with: (octet - mean) /
// deviation. The default is that of the YOLO family.
struct Normalisation {
  float mean = 0;
  float deviation = 255;
};

// One input, a picture; one thread at a time, but for health().
// Run and RunPicture say UNAVAILABLE when the device is away or does not answer: the frame is lost,
// a later one may be run, and the runner opens the device again by itself. Everything else does not
// go away by itself.
class Runner {
 public:
  virtual ~Runner() = default;
  // The one size that it takes: 1 x channels x rows x columns, whatever the order inside.
  virtual const TensorShape& input() const = 0;
  // What it gives, in order.
  virtual const std::vector<TensorInfo>& outputs() const = 0;
  // `input` has that size and 32-bit floats. The outputs keep their memory from run to run.
  virtual absl::Status Run(const cv::Mat& input, std::vector<Tensor>* outputs) = 0;
  // `picture` has the rows and columns of the input, 8 bits a channel, grey or BGR.
  virtual absl::Status RunPicture(const cv::Mat& picture, std::vector<Tensor>* outputs) = 0;
  // Thread-safe; does not wait for the device.
  virtual BackendHealth health() const = 0;
};

}  // namespace viaduct::hailo_lpr
