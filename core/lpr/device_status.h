// What a device says of itself on system/status/{device_id}.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/lpr/device_roads.h"

namespace viaduct {

inline constexpr size_t kMaxFactBytes = 255;  // A host name, a version.
inline constexpr std::string_view kOfflineWord = "offline";

struct DeviceStatus {
  std::string word;
  DeviceFacts facts;  // "" also for what is no text, or too long: the status counts without them.
};

// {"status": "online", "hostname"?, "version"?} or the word alone.
absl::StatusOr<DeviceStatus> ReadDeviceStatus(const std::string& body, size_t max_bytes);

}  // namespace viaduct
