// The name of a device in its certificate, "URI:urn:viaduct:device:CAM%201".
#pragma once

#include <string>
#include <string_view>

namespace viaduct::security {

inline constexpr std::string_view kDeviceUrn = "urn:viaduct:device:";

// "CAM 1" as part of a URN, "CAM%201". Also good as the name of a file.
std::string UrnOf(std::string_view id);
// And back. False: not what UrnOf gives.
bool IdOfUrn(std::string_view text, std::string* id);

}  // namespace viaduct::security
