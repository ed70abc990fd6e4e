#include "plugins/websocket/untaken.h"

#include "absl/strings/str_cat.h"
#include "plugins/websocket/json_scan.h"

namespace viaduct::websocket {
namespace {

constexpr size_t kMaxIdBytes = 256;  // Whoever gives longer ones is not told which it was.

const char* WordOf(Untaken why) { return why == Untaken::kBusy ? "retry" : "rejected"; }

const char* TextOf(Untaken why) {
  return why == Untaken::kBusy ? "the server is busy" : "message: larger than this server accepts";
}

}  // namespace

std::string UntakenAck(Untaken why) {
  return absl::StrCat("{\"status\":\"", WordOf(why), "\",\"error\":\"", TextOf(why), "\"}");
}

std::string UntakenError(Untaken why) {
  return absl::StrCat("{\"message\":\"", TextOf(why), "\"}");
}

std::string UntakenAnswer(Untaken why, std::string_view message) {
  std::string id(JsonMemberOf(message, "message_id"));
  if (id.empty() || id.front() != '"' || id.size() > kMaxIdBytes) id = "null";
  return absl::StrCat("{\"status\":\"error\",\"message_id\":", id, ",\"result\":\"", WordOf(why),
                      "\",\"message\":\"", TextOf(why), "\"}");
}

}  // namespace viaduct::websocket
