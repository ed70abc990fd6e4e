// What the application says of a command that it hands to its node.
#pragma once

#include <string_view>

namespace viaduct {

// The id that the sender of the command gave it; empty where it gave none.
inline constexpr std::string_view kMessageIdAttribute = "message_id";

}  // namespace viaduct
