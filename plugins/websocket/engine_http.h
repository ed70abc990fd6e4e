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

// A page of another site uses what the browser adds by itself, a certificate or a remembered
// password: RFC 6455 section 10.2. What a script must know to say it, a key or a token, is no such
// thing.
bool IsOfForeignPage(const HttpRequest& request);

}  // namespace viaduct::websocket
