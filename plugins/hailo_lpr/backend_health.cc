#include "plugins/hailo_lpr/backend_health.h"

namespace viaduct::hailo_lpr {

const char* BackendStateName(BackendState state) {
  switch (state) {
    case BackendState::kReady:
      return "ready";
    case BackendState::kThrottled:
      return "throttled";
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

}  // namespace viaduct::hailo_lpr
