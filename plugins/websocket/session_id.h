// Names that nobody can guess.
#pragma once

#include <string>

namespace viaduct::websocket {

// 20 characters of base64url: 120 random bits.
std::string NewSessionId();

}  // namespace viaduct::websocket
