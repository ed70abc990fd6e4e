// The requests of Engine.IO that are refused, and how they name what they want.
#pragma once

#include <string>
#include <string_view>

#include "plugins/common/http_message.h"

namespace viaduct::websocket {

// With the codes of Engine.IO's own server.
HttpReply UnknownTransport();
HttpReply UnknownSession();
HttpReply BadMethod();
HttpReply BadRequest();
HttpReply BadVersion();

// One parameter of a query; "" without it. Those of Engine.IO need no percent-decoding: all are
// plain.
std::string EngineParameter(const std::string& query, std::string_view name);

}  // namespace viaduct::websocket
