#include "plugins/hailo_lpr/hailo/hailo_status.h"

#include "absl/strings/str_cat.h"

namespace viaduct::hailo_lpr {

namespace {

using State = BackendState;

struct Known {
  hailort::Status status;
  HailoMeaning meaning;
};
constexpr Known kKnown[] = {
    {hailort::kInvalidArgument, {"refused as an invalid argument", State::kFailed, false}},
    {hailort::kTimeout, {"no answer in time", State::kLost, true}},
    {hailort::kInsufficientBuffer, {"has more parts than are taken", State::kBadModel, false}},
    {hailort::kOpenFileFailure, {"the file cannot be opened", State::kBadModel, false}},
    {hailort::kUnsupportedFirmware,
     {"the device's firmware is not supported", State::kFailed, false}},
    {hailort::kInvalidHef, {"is no valid HEF", State::kBadModel, false}},
    {hailort::kDriverOperationFailed, {"the driver failed", State::kLost, true}},
    {hailort::kStreamAbort, {"the stream was aborted", State::kLost, true}},
    {hailort::kDriverNotInstalled, {"the driver is not loaded", State::kNoDriver, true}},
    {hailort::kDeviceInUse, {"the device is in use by another process", State::kBusy, true}},
    {hailort::kOutOfPhysicalDevices, {"there is no free device", State::kNoDevice, true}},
    {hailort::kInvalidArchitecture,
     {"the device's architecture is not supported", State::kFailed, false}},
    {hailort::kInvalidDriverVersion,
     {"the driver is of another version than the library", State::kDriverMismatch, false}},
    {hailort::kNotSupported, {"is not supported", State::kFailed, false}},
    {hailort::kDriverTimeout, {"the driver did not answer in time", State::kLost, true}},
    {hailort::kHefFileCorrupted, {"the HEF is damaged", State::kBadModel, false}},
    {hailort::kHefNotSupported,
     {"the HEF is of a kind that this library does not support", State::kBadModel, false}},
    {hailort::kHefNotCompatible, {"the HEF is for another device", State::kBadModel, false}},
};

}  // namespace

HailoMeaning MeaningOf(hailort::Status status) {
  for (const Known& known : kKnown) {
    if (known.status == status) return known.meaning;
  }
  return {"failed", State::kLost, true};
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
