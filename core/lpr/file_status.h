// What a device is told of its file: docs/TRANSFERS.md, "Receiving".
#pragma once

#include <string>
#include <string_view>

#include "core/receive/receiver.h"

namespace viaduct {

inline constexpr std::string_view kFileStatusCommand = "file_transfer_status";

// One object, the arguments of that command.
std::string FileStatusJson(const FileAnswer& answer);

}  // namespace viaduct
