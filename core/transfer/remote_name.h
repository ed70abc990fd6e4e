// Names that files get on the server.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace viaduct {

// INVALID_ARGUMENT for what viaduct/cpp/file_name.h does not allow.
absl::Status CheckRemoteName(std::string_view name);

// "<device>/<wanted>", or "<device>/<YYYY>/<MM>/<DD>/<base name of local_path>" where nothing is
// wanted.
absl::StatusOr<std::string> MakeRemoteName(std::string_view device, std::string_view wanted,
                                           std::string_view local_path, absl::Time captured);

// The same name with a folder of that id before its last component: no other transfer has it.
std::string NameOfItsOwn(std::string_view name, std::string_view id);

}  // namespace viaduct
