// Commands to this node that come by topic, and their answers on the topic with "/response" behind.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/command_attributes.h"
#include "core/lpr/json_fields.h"
#include "core/message/json_scanner.h"

namespace viaduct {
namespace {

constexpr size_t kMaxCommandBytes = 64;
constexpr size_t kMaxControlBytes = 1u << 20;
constexpr absl::Duration kClockSkew = absl::Seconds(30);  // Of the sender's clock and ours.

struct Command {
  std::string name;
  std::string message_id;
  std::string device_id;  // As the sender calls this node; "" where it does not.
  std::string arguments;  // One object.
  absl::Time expires = absl::InfiniteFuture();
};

absl::StatusOr<std::string> TextMember(const JsonFields& fields, std::string_view name,
                                       size_t max_bytes) {
  VD_ASSIGN_OR_RETURN(std::optional<std::string> text, fields.Text({name}, max_bytes));
  return std::move(text).value_or("");
}

// {"command": ...}, or an envelope whose payload is that. Arguments stand in an object of that name
// or beside the command.
absl::Status ReadCommand(std::string_view body, Command* command) {
  const size_t max_id = ParseLimits().max_id_bytes;
  VD_ASSIGN_OR_RETURN(JsonFields fields, JsonFields::Parse(body, kMaxControlBytes));
  VD_ASSIGN_OR_RETURN(command->message_id, TextMember(fields, "message_id", max_id));
  VD_ASSIGN_OR_RETURN(command->device_id, TextMember(fields, "device_id", max_id));
  VD_ASSIGN_OR_RETURN(const std::optional<std::string> payload, fields.Object("payload"));
  command->arguments = payload.value_or(std::string(body));
  // What was parsed is borrowed.
  const std::string inner = command->arguments;
  if (payload.has_value()) {
    VD_ASSIGN_OR_RETURN(fields, JsonFields::Parse(inner, kMaxControlBytes));
  }
  VD_ASSIGN_OR_RETURN(command->name, TextMember(fields, "command", kMaxCommandBytes));
  VD_ASSIGN_OR_RETURN(std::optional<std::string> arguments, fields.Object("arguments"));
  if (arguments.has_value()) command->arguments = *std::move(arguments);
  VD_ASSIGN_OR_RETURN(const auto expires, fields.Time("expires", absl::UTCTimeZone()));
  command->expires = expires.value_or(absl::InfiniteFuture());
  if (command->name.empty()) return absl::InvalidArgumentError("Missing required field: command");
  return absl::OkStatus();
}

CallReply Expired(const Command& command, absl::Time now) {
  return ErrorReply(410, absl::StrCat("expires: was at ", absl::FormatTime(command.expires),
                                      ", the clock of this node says ", absl::FormatTime(now)));
}

std::string AnswerBody(const Command& command, const CallReply& result, absl::Time now) {
  JsonWriter json;
  const bool ok = result.status >= 200 && result.status < 300;
  json.BeginObject().Field("type", "control_response");
  json.Field("message_id", std::string_view(command.message_id));
  if (!command.device_id.empty()) json.Field("device_id", std::string_view(command.device_id));
  json.Field("command", std::string_view(command.name));
  json.Field("success", ok).Field("status", int64_t{result.status});
  if (!result.body.empty()) json.Key("result").Raw(result.body);
  json.Field("timestamp", now).EndObject();
  return json.Take();
}

}  // namespace

void Application::Impl::TopicControl(CallRequest request, ReplyFn reply) {
  const std::string topic = absl::StrCat(request.path, "/response");
  Command command;
  const absl::Status read = ReadCommand(request.body, &command);
  auto answer = [this, topic, command, reply = std::move(reply)](const CallReply& result) {
    CallReply out = JsonReply(200, AnswerBody(command, result, parts_.clock->Now()));
    out.attributes.emplace_back("publish", topic);
    reply(std::move(out));
  };
  if (!read.ok()) {
    NoteRefusal(request, "control", read);
    return answer(ErrorReply(400, StdView(read.message())));
  }
  // A broker had kept it: what it says may have been undone on purpose since.
  const absl::Time now = parts_.clock->Now();
  if (now > command.expires + kClockSkew) return answer(Expired(command, now));
  if (parts_.control != nullptr) {
    request.method = "CONTROL";
    request.attributes = {{std::string(kMessageIdAttribute), command.message_id}};
    request.path = command.name;
    request.body = std::move(command.arguments);
    return parts_.control->Handle(std::move(request), std::move(answer));
  }
  if (command.name == "get_health") return AskSelf("/api/health", std::move(answer));
  if (command.name == "get_status" || command.name == "test_connection") {
    return AskSelf("/api/test", std::move(answer));
  }
  answer(ErrorReply(501, absl::StrCat("command: not known here, ", ShownText(command.name))));
}

// What this node answers to anybody who asks for it by path; who may give the command may know.
void Application::Impl::AskSelf(std::string path, ReplyFn reply) {
  CallRequest request;
  request.principal = security::NodeItself();
  request.method = "GET";
  request.path = std::move(path);
  Handle(std::move(request), std::move(reply));
}

}  // namespace viaduct
