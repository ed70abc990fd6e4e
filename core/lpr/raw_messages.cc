// Messages of plain WebSocket, docs/WIRE.md "Plain WebSocket": flat payloads, envelopes and the
// table form of the oldest generation; one answer each.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/ingest.h"
#include "core/lpr/session_reply.h"
#include "core/message/json_scanner.h"

namespace viaduct {
namespace {

constexpr std::string_view kDetectionTable = "lpr_detection";
constexpr std::string_view kHealthTable = "health_monitor";

std::string_view AnswerType(DataType type) {
  if (type == DataType::kDetection) return "detection_response";
  return type == DataType::kHealth ? "health_response" : "message_response";
}

std::string TextOf(const JsonSlice& value) {
  return value.type == JsonType::kString ? DecodeJsonString(value.text) : std::string();
}

}  // namespace

struct Application::Impl::RawMessage {
  bool is_table = false;
  bool is_envelope = false;
  std::string table;
  std::string action;
  std::string_view data;  // Of a table message; "" without one.
  std::string type;       // Of a flat message.
  std::string message_id;
  DataType data_type = DataType::kDetection;
  std::string camera_id;
  std::string checkpoint_id;

  // One answer in the words of the sender's generation.
  std::string Answer(const AcceptResult& result, absl::Duration retry_after, absl::Time now) const;

 private:
  std::string TableAnswer(const AcceptResult& result) const;
};

std::string Application::Impl::RawMessage::Answer(const AcceptResult& result,
                                                  absl::Duration retry_after,
                                                  absl::Time now) const {
  if (is_table) return TableAnswer(result);
  const bool ok = result.status.ok();
  JsonWriter json;
  json.BeginObject().Field("status", ok ? "success" : "error");
  json.Field("type", AnswerType(data_type)).Key("message_id");
  message_id.empty() ? json.Null() : json.String(message_id);
  json.Field("result", ResultWord(result));
  if (ok) {
    const char* const id_name = data_type == DataType::kHealth ? "health_id" : "detection_id";
    if (!result.id.empty()) json.Field(id_name, std::string_view(result.id));
    json.Field("camera_id", std::string_view(camera_id));
    if (!checkpoint_id.empty()) json.Field("checkpoint_id", std::string_view(checkpoint_id));
  } else {
    json.Field("message", StdView(result.status.message()));
    WriteRetryAfter(result, retry_after, &json);
  }
  json.Field("timestamp", now).EndObject();
  return json.Take();
}

std::string Application::Impl::RawMessage::TableAnswer(const AcceptResult& result) const {
  const bool ok = result.status.ok();
  JsonWriter json;
  json.BeginObject().Field("status", ok ? "success" : "error");
  json.Field("message", ok ? "Data inserted successfully" : StdView(result.status.message()));
  json.Key("record_id");
  ok ? json.String(result.id) : json.Null();
  json.Field("table", std::string_view(table)).Field("action", std::string_view(action));
  json.EndObject();
  return json.Take();
}

absl::Status Application::Impl::ReadTable(RawMessage* message) const {
  const bool health = message->table == kHealthTable;
  if (!health && message->table != kDetectionTable) {
    return absl::InvalidArgumentError(absl::StrCat("table: expected ", AbslView(kDetectionTable),
                                                   " or ", AbslView(kHealthTable), ", got ",
                                                   ShownText(message->table)));
  }
  message->data_type = health ? DataType::kHealth : DataType::kDetection;
  if (message->action != "insert") {
    return absl::InvalidArgumentError(
        absl::StrCat("action: expected insert, got ", ShownText(message->action)));
  }
  if (message->data.empty()) return absl::InvalidArgumentError("Missing required field: data");
  return absl::OkStatus();
}

absl::StatusOr<Arrival> Application::Impl::ReadRaw(const CallRequest& call,
                                                   RawMessage* message) const {
  JsonScanLimits limits;
  limits.max_bytes = options_.max_body_bytes;
  std::vector<JsonMember> members;
  VD_RETURN_IF_ERROR(JsonScanner(call.body, limits).ScanObject(&members));
  for (const JsonMember& member : members) {
    const JsonSlice& value = member.value;
    if (member.key == "table") message->table = TextOf(value);
    message->is_table = message->is_table || member.key == "table";
    if (member.key == "action") message->action = TextOf(value);
    if (member.key == "data" && value.type == JsonType::kObject) message->data = value.text;
    if (member.key == "type") message->type = TextOf(value);
    if (member.key == "data_type") message->is_envelope = true;
    if (member.key == "message_id") message->message_id = TextOf(value);
  }
  if (message->is_envelope && !message->is_table) {
    ParseOptions options;
    options.limits.max_bytes = options_.max_body_bytes;
    options.naive_zone = options_.zone;
    VD_ASSIGN_OR_RETURN(Envelope envelope, ParseEnvelope(call.body, options));
    message->data_type = envelope.data_type;
    return envelope;
  }
  CallRequest flat;
  flat.protocol = call.protocol;
  flat.peer = call.peer;
  if (message->is_table) {
    VD_RETURN_IF_ERROR(ReadTable(message));
    PayloadHeader header;
    VD_RETURN_IF_ERROR(ReadHeader(message->data, payload_options(), &header));
    if (header.camera_id.empty()) {
      return absl::InvalidArgumentError("Missing required field: camera_id");
    }
    message->checkpoint_id = header.checkpoint_id;
    Envelope envelope =
        MakeEnvelope(flat, std::move(header), message->data_type, std::string(message->data));
    VD_RETURN_IF_ERROR(CheckMessage(envelope, payload_options()));
    return envelope;
  }
  if (message->type == kHealthType) message->data_type = DataType::kHealth;
  if (message->type != kHealthType && message->type != kDetectionType) {
    return absl::InvalidArgumentError(absl::StrCat("type: expected ", AbslView(kDetectionType),
                                                   " or ", AbslView(kHealthType), ", got ",
                                                   ShownText(message->type)));
  }
  flat.body = call.body;
  return ReadFlat(&flat, message->data_type, &message->checkpoint_id);
}

void Application::Impl::HandleRaw(CallRequest call, ReplyFn reply) {
  auto message = std::make_shared<RawMessage>();
  absl::StatusOr<Arrival> arrival = ReadRaw(call, message.get());
  if (arrival.ok()) {
    const absl::Status checked = CheckPayload(arrival->envelope);
    if (!checked.ok()) arrival = checked;
  }
  const auto answer = [this, message, reply](const AcceptResult& result) {
    reply(JsonReply(HttpStatusOf(result.status),
                    message->Answer(result, options_.retry_after, parts_.clock->Now())));
  };
  if (!arrival.ok()) {
    NoteRefusal(call, "message", arrival.status());
    return answer(AcceptResult{absl::InvalidArgumentError(arrival.status().message()), false, ""});
  }
  message->message_id = arrival->envelope.message_id;
  message->camera_id = arrival->envelope.edge_device_id;
  message->data = {};  // Borrowed from the call, which ends here.
  AcceptOne(call, *std::move(arrival), message->checkpoint_id, answer);
}

}  // namespace viaduct
