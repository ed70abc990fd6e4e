#include "plugins/websocket/engine_http.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "plugins/common/http_call.h"

namespace viaduct::websocket {
namespace {

// The codes of Engine.IO's own server.
HttpReply EngineError(int status, int code, absl::string_view message) {
  HttpReply reply;
  reply.status = status;
  reply.headers = {{"content-type", "application/json"}};
  reply.body = absl::StrCat("{\"code\":", code, ",\"message\":\"", message, "\"}");
  return reply;
}

}  // namespace

HttpReply UnknownTransport() { return EngineError(400, 0, "Transport unknown"); }
HttpReply UnknownSession() { return EngineError(400, 1, "Session ID unknown"); }
HttpReply BadMethod() { return EngineError(400, 2, "Bad handshake method"); }
HttpReply BadRequest() { return EngineError(400, 3, "Bad request"); }
HttpReply BadVersion() { return EngineError(400, 5, "Unsupported protocol version"); }

std::string EngineParameter(const std::string& query, std::string_view name) {
  for (const absl::string_view pair : absl::StrSplit(query, '&')) {
    const size_t equals = pair.find('=');
    if (equals != absl::string_view::npos &&
        pair.substr(0, equals) == absl::string_view(name.data(), name.size())) {
      return std::string(pair.substr(equals + 1));
    }
  }
  return "";
}

bool IsOfForeignPage(const HttpRequest& request) {
  absl::string_view origin;
  absl::string_view host;
  bool by_itself = request.certificate != nullptr;  // What the browser shows without being asked.
  for (const auto& [name, value] : request.headers) {
    if (name == "origin") origin = value;
    if (name == "host") host = value;
    if (name == "authorization" && absl::StartsWithIgnoreCase(value, "basic ")) by_itself = true;
    if (name == "cookie" && !SessionCookie(value).empty()) by_itself = true;
  }
  if (origin.empty() || !by_itself) return false;
  const size_t scheme = origin.find("://");
  return scheme == absl::string_view::npos ||
         !absl::EqualsIgnoreCase(origin.substr(scheme + 3), host);
}

}  // namespace viaduct::websocket
