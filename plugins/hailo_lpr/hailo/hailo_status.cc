#include "plugins/hailo_lpr/hailo/hailo_status.h"

#include "absl/strings/str_cat.h"

namespace viaduct::hailo_lpr {

HailoMeaning MeaningOf(hailort::Status status) {
  switch (status) {
    case hailort::kInvalidArgument:
      return {"refused as an invalid argument", BackendState::kFailed, false};
    case hailort::kTimeout:
      return {"no answer in time", BackendState::kLost, true};
    case hailort::kInsufficientBuffer:
      return {"has more parts than are taken", BackendState::kBadModel, false};
    case hailort::kOpenFileFailure:
      return {"the file cannot be opened", BackendState::kBadModel, false};
    case hailort::kUnsupportedFirmware:
      return {"the device's firmware is not supported", BackendState::kFailed, false};
    case hailort::kInvalidHef:
      return {"is no valid HEF", BackendState::kBadModel, false};
    case hailort::kDriverOperationFailed:
      return {"the driver failed", BackendState::kLost, true};
    case hailort::kStreamAbort:
      return {"the stream was aborted", BackendState::kLost, true};
    case hailort::kDriverNotInstalled:
      return {"the driver is not loaded", BackendState::kNoDriver, true};
    case hailort::kDeviceInUse:
      return {"the device is in use by another process", BackendState::kBusy, true};
    case hailort::kOutOfPhysicalDevices:
      return {"there is no free device", BackendState::kNoDevice, true};
    case hailort::kInvalidArchitecture:
      return {"the device's architecture is not supported", BackendState::kFailed, false};
    case hailort::kInvalidDriverVersion:
      return {"the driver is of another version than the library", BackendState::kDriverMismatch,
              false};
    case hailort::kNotSupported:
      return {"is not supported", BackendState::kFailed, false};
    case hailort::kDriverTimeout:
      return {"the driver did not answer in time", BackendState::kLost, true};
    case hailort::kHefFileCorrupted:
      return {"the HEF is damaged", BackendState::kBadModel, false};
    case hailort::kHefNotSupported:
      return {"the HEF is of a kind that this library does not support", BackendState::kBadModel,
              false};
    case hailort::kHefNotCompatible:
      return {"the HEF is for another device", BackendState::kBadModel, false};
    default:
      return {"failed", BackendState::kLost, true};
  }
}

absl::Status HailoError(const std::string& subject, hailort::Status status) {
  const HailoMeaning meaning = MeaningOf(status);
  const std::string text =
      absl::StrCat(subject, ": ", meaning.text, " (HailoRT status ", status, ")");
  if (meaning.may_pass) return absl::UnavailableError(text);
  if (meaning.state == BackendState::kBadModel) return absl::InvalidArgumentError(text);
  return absl::FailedPreconditionError(text);
}

}  // namespace viaduct::hailo_lpr
