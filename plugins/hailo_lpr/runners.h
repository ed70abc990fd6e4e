// Which library runs a model.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "plugins/hailo_lpr/runner.h"
#include "plugins/hailo_lpr/tensor.h"

namespace viaduct::hailo_lpr {

struct ModelSpec {
  std::string path;
  std::string backend = "auto";  // "auto": by what the file is; "opencv".
  int threads = 1;
  TensorShape input;  // For a library that can not tell it from the file: opencv.
};

// NOT_FOUND: no such file; INVALID_ARGUMENT: no model, or not with this size of input, or an
// unknown back end.
absl::StatusOr<std::unique_ptr<Runner>> MakeRunner(const ModelSpec& spec);

}  // namespace viaduct::hailo_lpr
