// Commands to this node that come by topic, and their answers on the topic with "/response" behind.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/json_fields.h"
#include "core/message/json_scanner.h"

namespace viaduct {
namespace {

constexpr size_t kMaxCommandBytes = 64;
constexpr size_t kMaxControlBytes = 1u << 20;

struct Command {
  std::string name;
  std::string message_id;
};

// {"command": ...}, or an envelope whose payload is that.
absl::StatusOr<Command> ReadCommand(std::string_view body) {
  absl::StatusOr<JsonFields> fields = JsonFields::Parse(body, kMaxControlBytes);
  if (!fields.ok()) return fields.status();
  Command command;
  const auto id = fields->Text({"message_id"}, ParseLimits().max_id_bytes);
  if (!id.ok()) return id.status();
  command.message_id = id->value_or("");
  const auto payload = fields->Object("payload");
  if (!payload.ok()) return payload.status();
  if (payload->has_value()) {
    fields = JsonFields::Parse(**payload, kMaxControlBytes);
    if (!fields.ok()) return fields.status();
    const auto name = fields->Text({"command"}, kMaxCommandBytes);
    if (!name.ok()) return name.status();
    command.name = name->value_or("");
  } else {
    const auto name = fields->Text({"command"}, kMaxCommandBytes);
    if (!name.ok()) return name.status();
    command.name = name->value_or("");
  }
  if (command.name.empty()) return absl::InvalidArgumentError("Missing required field: command");
  return command;
}

}  // namespace

void Application::Impl::TopicControl(CallRequest request, ReplyFn reply) {
  const absl::StatusOr<Command> command = ReadCommand(request.body);
  const std::string topic = absl::StrCat(request.path, "/response");
  auto answer = [this, topic, command, reply = std::move(reply)](const CallReply& result) {
    JsonWriter json;
    const bool ok = result.status >= 200 && result.status < 300;
    json.BeginObject();
    if (command.ok()) {
      json.Field("message_id", std::string_view(command->message_id));
      json.Field("command", std::string_view(command->name));
    }
    json.Field("success", ok).Field("status", int64_t{result.status});
    if (!result.body.empty()) json.Key("result").Raw(result.body);
    json.Field("timestamp", parts_.clock->Now()).EndObject();
    CallReply out = JsonReply(200, json.Take());
    out.attributes.emplace_back("publish", topic);
    reply(std::move(out));
  };
  if (!command.ok()) {
    NoteRefusal(request, "control", command.status());
    return answer(ErrorReply(400, StdView(command.status().message())));
  }
  if (command->name == "get_health") return AskSelf("/api/health", std::move(answer));
  if (command->name == "get_status" || command->name == "test_connection") {
    return AskSelf("/api/test", std::move(answer));
  }
  if (parts_.control != nullptr) return parts_.control->Handle(std::move(request), answer);
  answer(ErrorReply(501, absl::StrCat("command: not known here, ", ShownText(command->name))));
}

// What this node answers to anybody who asks for it by path.
void Application::Impl::AskSelf(std::string path, ReplyFn reply) {
  CallRequest request;
  request.method = "GET";
  request.path = std::move(path);
  Handle(std::move(request), std::move(reply));
}

}  // namespace viaduct
