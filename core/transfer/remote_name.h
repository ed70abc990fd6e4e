// Names that files get on the server.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace viaduct {

inline constexpr size_t kMaxRemoteNameBytes = 1024;
inline constexpr size_t kMaxRemoteComponentBytes = 200;

// Relative, '/' between folders: UTF-8 without control characters; no component that is empty, ".",
// "..", too long or begins with ".viaduct". Spaces, quotes, leading dashes and '*' are fine.
// INVALID_ARGUMENT says what is wrong.
absl::Status CheckRemoteName(std::string_view name);

// "<device>/<wanted>", or "<device>/<YYYY>/<MM>/<DD>/<base name of local_path>" where nothing is
// wanted.
absl::StatusOr<std::string> MakeRemoteName(std::string_view device, std::string_view wanted,
                                           std::string_view local_path, absl::Time captured);

}  // namespace viaduct
