#include "plugins/hailo_lpr/runners.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "plugins/hailo_lpr/opencv_runner.h"

namespace viaduct::hailo_lpr {

absl::StatusOr<std::unique_ptr<Runner>> MakeRunner(const ModelSpec& spec) {
  if (spec.backend != "auto" && spec.backend != "opencv") {
    return absl::InvalidArgumentError(absl::StrCat("backend: unknown, ", spec.backend));
  }
  absl::StatusOr<std::unique_ptr<OpenCvRunner>> runner = OpenCvRunner::Load(spec.path, spec.input);
  if (!runner.ok()) return runner.status();
  return std::unique_ptr<Runner>(*std::move(runner));
}

}  // namespace viaduct::hailo_lpr
