// How what runs the models is: facts for the health of an instance.
#pragma once

#include <optional>
#include <string>

namespace viaduct::hailo_lpr {

// BACKENDS.md says what each means and what to do.
enum class BackendState {
  kReady,
  kThrottled,  // Works, more slowly: the chip is hot or takes too much current.
  kAlarmed,    // Works, and has reported something that an operator should know.
  // Come back by themselves:
  kBusy,      // Another process has the device.
  kLost,      // The device does not answer; it is opened again.
  kNoDevice,  // There is none.
  kNoDriver,
  // An operator must act:
  kDriverMismatch,  // The driver is of another version than the library.
  kNoLibrary,
  kWrongLibrary,  // A version that is not known here.
  kBadModel,
  kFailed,
};

inline bool Works(BackendState state) { return state <= BackendState::kAlarmed; }

struct BackendHealth {
  BackendState state = BackendState::kReady;
  std::string reason;        // For people; "" with kReady.
  std::string backend;       // "opencv", "onnxruntime" or "hailo".
  std::string device;        // "cpu", or the address of the device where it is known.
  std::string architecture;  // "Hailo-8", "Hailo-8L" ...; "" of a CPU.
  std::string firmware_version;
  std::string library_version;
  std::string driver_version;
  std::optional<float> temperature_celsius;
  std::optional<float> power_watts;  // Few boards measure it.
};

// "ready", "throttled", "alarmed", "busy", "lost", "no_device", "no_driver", "driver_mismatch",
// "no_library", "wrong_library", "bad_model", "failed".
const char* BackendStateName(BackendState state);

// One line for the log: "hailo, Hailo-8L at 0000:01:00.0, library 4.23.0, driver 4.23.0, firmware
// 4.23.0, 45 C, 2.5 W, ready"; what is not known is left out.
std::string DescribeBackend(const BackendHealth& health);

}  // namespace viaduct::hailo_lpr
