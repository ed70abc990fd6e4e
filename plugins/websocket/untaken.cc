#include "plugins/websocket/untaken.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "plugins/websocket/json_scan.h"

namespace viaduct::websocket {
namespace {

constexpr size_t kMaxNameBytes = 256;  // Whoever gives longer ones does not get them back.

absl::string_view View(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

const char* WordOf(Untaken why) { return why == Untaken::kBusy ? "retry" : "rejected"; }

const char* TextOf(Untaken why) {
  return why == Untaken::kBusy ? "the server is busy" : "message: larger than this server accepts";
}

// A string of JSON as it came, or `other`.
std::string_view NameOr(std::string_view value, std::string_view other) {
  return !value.empty() && value.front() == '"' && value.size() <= kMaxNameBytes ? value : other;
}

// Of an envelope by its data_type, of a flat message by its type.
const char* AnswerType(std::string_view data_type, std::string_view type) {
  if (data_type.empty()) {
    if (type == "\"node_register\"") return "node_registered";
    return type == "\"health_check\"" ? "health_response" : "detection_response";
  }
  if (data_type == "\"health\"") return "health_response";
  return data_type == "\"detection\"" ? "detection_response" : "message_response";
}

}  // namespace

std::vector<std::pair<std::string, std::string>> UntakenEvents(Untaken why,
                                                               std::string_view event) {
  const std::string failure = absl::StrCat("{\"success\":false,\"error\":\"", TextOf(why), "\"}");
  if (event == "message") return {{"message_error", failure}};
  if (event == "image") return {{"image_error", failure}};
  const std::string error = absl::StrCat("{\"message\":\"", TextOf(why), "\"}");
  return {{"error", error}, {"lpr_event_error", error}};
}

std::string UntakenAck(Untaken why, std::string_view event, std::string_view body) {
  if (event != "envelope") return UntakenEvents(why, event).front().second;
  const std::string_view id = NameOr(JsonMemberOf(body, "message_id"), "\"\"");
  return absl::StrCat("{\"message_id\":", View(id), ",\"status\":\"", WordOf(why),
                      "\",\"error\":\"", TextOf(why), "\"}");
}

std::string UntakenAnswer(Untaken why, std::string_view message) {
  const JsonElements members =
      JsonMembersOf(message, {"table", "action", "message_id", "data_type", "type"});
  if (!members[0].empty()) {
    return absl::StrCat("{\"status\":\"error\",\"message\":\"", TextOf(why),
                        "\",\"record_id\":null,\"table\":", View(NameOr(members[0], "\"\"")),
                        ",\"action\":", View(NameOr(members[1], "\"\"")), "}");
  }
  return absl::StrCat("{\"status\":\"error\",\"type\":\"", AnswerType(members[3], members[4]),
                      "\",\"message_id\":", View(NameOr(members[2], "null")), ",\"result\":\"",
                      WordOf(why), "\",\"message\":\"", TextOf(why), "\"}");
}

}  // namespace viaduct::websocket
