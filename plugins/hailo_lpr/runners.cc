#include "plugins/hailo_lpr/runners.h"

#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "plugins/hailo_lpr/hailo/hailo_device.h"
#include "plugins/hailo_lpr/hailo/hailo_runner.h"
#include "plugins/hailo_lpr/onnxruntime_runner.h"
#include "plugins/hailo_lpr/opencv_runner.h"

namespace viaduct::hailo_lpr {
namespace {

constexpr int kMostTimeoutMs = 60000;

using Made = absl::StatusOr<std::unique_ptr<Runner>>;

absl::Status Check(const ModelSpec& spec) {
  const auto wrong = [&](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("model: ", spec.path, ": ", what));
  };
  const Normalisation& normalisation = spec.normalisation;
  if (!std::isfinite(normalisation.mean) || !std::isfinite(normalisation.deviation) ||
      normalisation.deviation <= 0) {
    return wrong("the deviation must be above 0");
  }
  if (spec.timeout_ms < 1 || spec.timeout_ms > kMostTimeoutMs) {
    return wrong(absl::StrCat("timeout_ms must be 1 to ", kMostTimeoutMs));
  }
  for (const std::optional<float>& share : {spec.nms_score, spec.nms_overlap}) {
    if (share && !(*share >= 0 && *share <= 1)) return wrong("thresholds must be 0 to 1");
  }
  return absl::OkStatus();
}

Made MakeOpenCv(const ModelSpec& spec, BackendHealth* health) {
  auto runner = OpenCvRunner::Load(spec.path, spec.input, spec.normalisation);
  if (!runner.ok()) {
    health->state = BackendState::kBadModel;
    return runner.status();
  }
  *health = (*runner)->health();
  return *std::move(runner);
}

Made MakeOnnxRuntime(const ModelSpec& spec, BackendHealth* health) {
  auto runner = OnnxRuntimeRunner::Load(spec, health);
  if (!runner.ok()) return runner.status();
  return *std::move(runner);
}

Made MakeHailo(const ModelSpec& spec, BackendHealth* health) {
  HailoDeviceOptions options;
  options.library = spec.library;
  auto device = HailoDevice::Shared(options, health);
  if (!device.ok()) return device.status();
  auto runner = HailoRunner::Load(spec, *std::move(device), health);
  if (!runner.ok()) return runner.status();
  return *std::move(runner);
}

Made Make(const ModelSpec& spec, BackendHealth* health) {
  if (absl::Status checked = Check(spec); !checked.ok()) return checked;
  if (health->backend == "opencv") return MakeOpenCv(spec, health);
  if (health->backend == "onnxruntime") return MakeOnnxRuntime(spec, health);
  if (health->backend == "hailo") return MakeHailo(spec, health);
  return absl::InvalidArgumentError(absl::StrCat(
      "model: backend ", spec.backend, ": is not one of auto, opencv, onnxruntime, hailo"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Runner>> MakeRunner(const ModelSpec& spec, BackendHealth* health) {
  BackendHealth unwanted;
  if (health == nullptr) health = &unwanted;
  *health = {};
  const bool automatic = spec.backend == "auto";
  health->backend = !automatic                                    ? spec.backend
                    : absl::EndsWithIgnoreCase(spec.path, ".hef") ? "hailo"
                                                                  : "opencv";
  health->state = BackendState::kFailed;
  Made made = Make(spec, health);
  if (!made.ok()) health->reason = std::string(made.status().message());
  return made;
}

}  // namespace viaduct::hailo_lpr
