#include "plugins/hailo_lpr/backend_health.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace viaduct::hailo_lpr {

const char* BackendStateName(BackendState state) {
  switch (state) {
    case BackendState::kReady:
      return "ready";
    case BackendState::kThrottled:
      return "throttled";
    case BackendState::kAlarmed:
      return "alarmed";
    case BackendState::kBusy:
      return "busy";
    case BackendState::kLost:
      return "lost";
    case BackendState::kNoDevice:
      return "no_device";
    case BackendState::kNoDriver:
      return "no_driver";
    case BackendState::kDriverMismatch:
      return "driver_mismatch";
    case BackendState::kNoLibrary:
      return "no_library";
    case BackendState::kWrongLibrary:
      return "wrong_library";
    case BackendState::kBadModel:
      return "bad_model";
    case BackendState::kFailed:
      break;
  }
  return "failed";
}

std::string DescribeBackend(const BackendHealth& health) {
  std::string out = health.backend;
  const auto add = [&](absl::string_view before, const std::string& value) {
    if (!value.empty()) absl::StrAppend(&out, before, value);
  };
  add(", ", health.architecture);
  add(health.architecture.empty() ? ", " : " at ", health.device);
  add(", library ", health.library_version);
  add(", driver ", health.driver_version);
  add(", firmware ", health.firmware_version);
  if (health.temperature_celsius) {
    absl::StrAppendFormat(&out, ", %.0f C", *health.temperature_celsius);
  }
  if (health.power_watts) absl::StrAppendFormat(&out, ", %.1f W", *health.power_watts);
  add(", ", BackendStateName(health.state));
  add(": ", health.reason);
  return out;
}

}  // namespace viaduct::hailo_lpr
