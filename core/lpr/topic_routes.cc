// Messages that come by topic instead of by path (docs/WIRE.md, MQTT). A reply says in its
// attributes what is to be published: each "publish" is a topic, whose payload is the body of the
// reply or the "publish-body" that follows. A reply that asks to try again publishes nothing, and
// the listener acknowledges nothing.
#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/device_status.h"
#include "core/lpr/file_status.h"
#include "core/lpr/ingest.h"
#include "core/lpr/json_fields.h"
#include "core/lpr/named_texts.h"
#include "core/lpr/topic_names.h"
#include "core/message/identity.h"
#include "core/message/json_scanner.h"
#include "core/store/message_key.h"

namespace viaduct {
namespace {

constexpr absl::string_view kProcessed = "lpr/data/processed";
constexpr absl::string_view kError = "lpr/data/error";
constexpr absl::string_view kFileStatus = "file/transfer/status";
constexpr std::string_view kDetectionType = "detection_result";
constexpr std::string_view kHealthType = "health_check";
constexpr size_t kMaxRefusedIds = 65536;  // Of one payload; no client has more under way.

// What became of one message, as the ack topic words it.
struct TopicResult {
  std::string message_id;
  AcceptResult result;
};

std::string_view WordOf(const AcceptResult& result) {
  if (!result.status.ok()) return "rejected";
  return result.duplicate ? "duplicate" : "stored";
}

void WriteOne(const TopicResult& one, JsonWriter* json) {
  json->BeginObject().Field("message_id", std::string_view(one.message_id));
  json->Field("status", WordOf(one.result));
  if (!one.result.id.empty()) json->Field("id", std::string_view(one.result.id));
  if (!one.result.status.ok()) json->Field("error", StdView(one.result.status.message()));
  json->EndObject();
}

// Those that were stored, those that were not, or all. "" where there is none of that sort.
enum class Sort { kAll, kStored, kRejected };
std::string WriteResults(const std::vector<TopicResult>& results, bool array, Sort sort) {
  JsonWriter json;
  bool any = false;
  if (array) json.BeginArray();
  for (const TopicResult& one : results) {
    if (sort != Sort::kAll && one.result.status.ok() != (sort == Sort::kStored)) continue;
    WriteOne(one, &json);
    any = true;
  }
  if (array) json.EndArray();
  return any ? json.Take() : "";
}

void Publish(absl::string_view topic, std::string body, CallReply* reply) {
  if (body.empty()) return;
  reply->attributes.emplace_back("publish", std::string(topic));
  reply->attributes.emplace_back("publish-body", std::move(body));
}

bool IsTopicLevel(std::string_view id) {
  return !id.empty() && id.size() <= ParseLimits().max_id_bytes &&
         id.find_first_of(std::string_view("/+#\0", 4)) == std::string_view::npos;
}

const absl::Status* FirstTransient(const std::vector<TopicResult>& results) {
  for (const TopicResult& one : results) {
    if (IsTransient(one.result.status)) return &one.result.status;
  }
  return nullptr;
}

// The answer to messages of `device` on lpr/data.
CallReply DataReply(const std::vector<TopicResult>& results, bool array, std::string_view device) {
  CallReply reply = JsonReply(200, WriteResults(results, array, Sort::kAll));
  if (IsTopicLevel(device)) {
    reply.attributes.emplace_back("publish", absl::StrCat("lpr/ack/", AbslView(device)));
  }
  Publish(kProcessed, WriteResults(results, array, Sort::kStored), &reply);
  Publish(kError, WriteResults(results, array, Sort::kRejected), &reply);
  return reply;
}

bool IsArray(std::string_view json) {
  const size_t begin = json.find_first_not_of(" \t\r\n");
  return begin != std::string_view::npos && json[begin] == '[';
}

bool IsEnvelope(std::string_view json, size_t max_bytes) {
  JsonScanLimits limits;
  limits.max_bytes = max_bytes;
  std::vector<JsonMember> members;
  if (!JsonScanner(json, limits).ScanObject(&members).ok()) return false;
  return std::any_of(members.begin(), members.end(), [](const JsonMember& member) {
    return member.key == "data_type" || member.key == "payload";
  });
}

absl::Status KindOfType(const std::string& type, TopicKind* kind) {
  if (type == kDetectionType) {
    *kind = TopicKind::kDetection;
  } else if (type == kHealthType) {
    *kind = TopicKind::kHealth;
  } else if (type == kRegistrationType) {
    *kind = TopicKind::kConfig;
  } else {
    return absl::InvalidArgumentError(absl::StrCat(
        "type: expected an envelope, ", AbslView(kDetectionType), ", ", AbslView(kHealthType),
        " or ", AbslView(kRegistrationType), ", got ", ShownText(type)));
  }
  return absl::OkStatus();
}

bool IsRetained(const CallRequest& call) {
  return std::any_of(call.attributes.begin(), call.attributes.end(),
                     [](const auto& attribute) { return attribute.first == "retain"; });
}

// Its key is itself, whenever it comes.
bool IsWholeKey(const std::string& message_id) {
  MessageKey key;
  return message_id != kNilUuid && ParseKey(message_id, &key);
}

// A UUID made of where the message came and what it says: without a time of its own it is the same
// message whenever it comes, as a retained one does at every subscription.
std::string TimelessId(std::string_view camera, std::string_view topic, DataType type,
                       std::string_view content) {
  const std::string id =
      DeriveMessageId(MessageKeyParts{camera, topic, absl::UnixEpoch(), type, content});
  const absl::string_view hex = absl::string_view(id).substr(2);
  return absl::StrCat(hex.substr(0, 8), "-", hex.substr(8, 4), "-5", hex.substr(13, 3), "-8",
                      hex.substr(17, 3), "-", hex.substr(20, 12));
}

}  // namespace

struct Application::Impl::TopicMessage {
  CallRequest call;
  TopicKind kind = TopicKind::kNone;
  std::string device;  // In the topic.
  bool acknowledged = false;
  bool tells_of_file = false;
};

void Application::Impl::HandleTopic(CallRequest request, ReplyFn reply) {
  const TopicMatch match = MatchTopic(request.path);
  TopicMessage message{std::move(request), match.kind, std::string(match.device),
                       match.acknowledged};
  CallRequest& call = message.call;
  if (match.kind == TopicKind::kNone) return reply(ErrorReply(404, "no such topic"));
  call.permission = security::FindPermission(security::Surface::kTopic, match.action);
  // How a retained message is taken away.
  if (call.body.empty()) return reply(JsonReply(200, ""));
  const size_t max_bytes =
      options_.max_body_bytes - std::min(options_.max_body_bytes, kEnvelopeFrameBytes);
  if (call.body.size() > max_bytes) {
    return RefuseTopic(message, "",
                       absl::InvalidArgumentError(absl::StrCat(
                           "message: too large, ", call.body.size(), " bytes, limit ", max_bytes)),
                       std::move(reply));
  }
  // A command is to this node, which answers to its own name.
  if (!message.device.empty() && match.kind != TopicKind::kControl) {
    const absl::Status named = CheckIdentifier(message.device, ParseLimits().max_id_bytes);
    if (!named.ok()) {
      return RefuseTopic(message, "",
                         absl::InvalidArgumentError(absl::StrCat("topic: ", named.message())),
                         std::move(reply));
    }
  }
  // What no device may, and what names its device in the topic; of the rest each message is asked
  // about by itself.
  const absl::Status permitted = message.device.empty() || match.kind == TopicKind::kControl
                                     ? PermitAction(call)
                                     : Permit(call, message.device);
  if (!permitted.ok()) return RefuseTopic(message, "", permitted, std::move(reply));
  if (match.kind == TopicKind::kFile && TakeFileStatus(&call, &reply)) return;
  switch (match.kind) {
    case TopicKind::kData:
      return TopicData(std::move(message), std::move(reply));
    case TopicKind::kStatus:
      return TopicStatus(std::move(message), std::move(reply));
    case TopicKind::kControl:
      return TopicControl(std::move(message.call), std::move(reply));
    default:
      return TopicFlat(std::move(message), std::move(reply));
  }
}

// The sender can not mend it by sending it again: it is answered, and acknowledged to the broker.
void Application::Impl::RefuseTopic(const TopicMessage& message, const std::string& message_id,
                                    const absl::Status& status, ReplyFn reply) {
  NoteRefusal(message.call, "topic", status);
  const AcceptResult refused = {absl::InvalidArgumentError(status.message()), false, ""};
  const std::string& body = message.call.body;
  std::vector<std::string> ids = {message_id};
  // A payload that is refused whole: who is not told so of each message of it repeats them for
  // ever.
  if (message_id.empty()) ids = NamedTexts(body, "message_id", kMaxRefusedIds);
  const bool array = message_id.empty() && !ids.empty() && IsArray(body);
  if (ids.empty()) ids.emplace_back();
  if (message.kind != TopicKind::kData) {
    return AnswerTopic(message, ids.front(), refused, std::move(reply));
  }
  std::vector<TopicResult> results;
  results.reserve(ids.size());
  for (std::string& id : ids) results.push_back({std::move(id), refused});
  std::vector<std::string> device = {message.device};
  if (message.device.empty()) device = NamedTexts(body, "edge_device_id", 1);
  reply(DataReply(results, array, device.empty() ? "" : device.front()));
}

void Application::Impl::AnswerTopic(const TopicMessage& message, const std::string& message_id,
                                    const AcceptResult& result, ReplyFn reply) {
  if (IsTransient(result.status)) return reply(Failed(result.status));
  const std::vector<TopicResult> results = {{message_id, result}};
  if (message.kind == TopicKind::kData || message.kind == TopicKind::kFile) {
    return reply(DataReply(results, /*array=*/false, message.device));
  }
  CallReply out = JsonReply(200, "");
  if (message.acknowledged) {
    JsonWriter json;
    const bool ok = result.status.ok();
    const std::string own = absl::StrCat("ack-", message_id);
    json.BeginObject().Field("message_id", std::string_view(own));
    json.Field("timestamp", parts_.clock->Now());
    json.Field("original_message_id", std::string_view(message_id));
    json.Field("status", ok ? "processed" : "error");
    json.Field("camera_id", std::string_view(message.device));
    if (!ok) json.Field("error", StdView(result.status.message()));
    json.EndObject();
    Publish(absl::StrCat(message.call.path, "/ack"), json.Take(), &out);
  }
  Publish(kError, WriteResults(results, /*array=*/false, Sort::kRejected), &out);
  reply(std::move(out));
}

// What a server says of a file is for the node that has sent it; a server that hears another one,
// or itself, has nothing to keep. False: it is something else.
bool Application::Impl::TakeFileStatus(CallRequest* call, ReplyFn* reply) {
  PayloadHeader header;
  if (call->path != StdView(kFileStatus) ||
      !ReadHeader(call->body, payload_options(), &header).ok() ||
      header.type != kFileStatusCommand) {
    return false;
  }
  if (parts_.control == nullptr) {
    (*reply)(JsonReply(200, ""));
    return true;
  }
  call->method = "CONTROL";
  call->path = std::string(kFileStatusCommand);
  parts_.control->Handle(std::move(*call), [reply = std::move(*reply)](const CallReply& /*done*/) {
    reply(JsonReply(200, ""));
  });
  return true;
}

// Who tells of its file again asks how it stands.
void Application::Impl::AnswerFile(const TopicMessage& message, const std::string& message_id,
                                   const AcceptResult& result, ReplyFn reply) {
  FileAnswer answer;
  answer.transfer_id = result.id;
  answer.device_id = message.device;
  CallReply out = DataReply({{message_id, result}}, /*array=*/false, message.device);
  if (!result.duplicate) {
    Publish(kFileStatus, FileStatusJson(answer), &out);
    return reply(std::move(out));
  }
  const auto look = [this, answer, out, reply]() mutable {
    const absl::StatusOr<FileTransferRow> row = parts_.store->GetFileTransfer(answer.transfer_id);
    if (row.ok()) {
      answer.state = row->record.state;
      answer.sha256 = row->record.sha256;
      answer.detail = row->record.detail;
      Publish(kFileStatus, FileStatusJson(answer), &out);
    }
    reply(std::move(out));
  };
  if (!reads_.Submit(look)) reply(std::move(out));  // It asks again.
}

void Application::Impl::TopicData(TopicMessage message, ReplyFn reply) {
  const std::string& body = message.call.body;
  const bool array = IsArray(body);
  if (!array && !IsEnvelope(body, options_.max_body_bytes)) {
    return TopicFlat(std::move(message), std::move(reply));
  }
  ParseOptions options;
  options.limits.max_bytes = options_.max_body_bytes;
  options.naive_zone = options_.zone;
  absl::StatusOr<ParsedEnvelopes> parsed =
      ParseEnvelopes(body, options, static_cast<size_t>(options_.max_batch));
  if (!parsed.ok()) {
    return RefuseTopic(message, "", absl::InvalidArgumentError(parsed.status().message()),
                       std::move(reply));
  }
  if (parsed->items.empty()) return reply(JsonReply(200, ""));
  TopicEnvelopes(std::move(message), array, *std::move(parsed), std::move(reply));
}

void Application::Impl::TopicEnvelopes(TopicMessage message, bool array, ParsedEnvelopes parsed,
                                       ReplyFn reply) {
  auto results = std::make_shared<std::vector<TopicResult>>(parsed.items.size());
  std::vector<Arrival> batch;
  std::vector<size_t> places;
  for (size_t i = 0; i < parsed.items.size(); ++i) {
    ParsedEnvelope& item = parsed.items[i];
    absl::Status status = item.envelope.status();
    if (status.ok()) status = CheckPayload(*item.envelope);
    TopicResult& one = (*results)[i];
    one.message_id = status.ok() ? item.envelope->message_id : item.message_id;
    if (!status.ok()) {
      one.result.status = absl::InvalidArgumentError(status.message());
      NoteRefusal(message.call, "envelope", status);
      continue;
    }
    if (message.device.empty()) message.device = item.envelope->edge_device_id;
    places.push_back(i);
    batch.push_back(std::move(*item.envelope));
  }
  Accept(std::move(batch), SenderOf(message.call),
         [this, results, array, places = std::move(places), device = message.device,
          reply = std::move(reply)](std::vector<AcceptResult> accepted) {
           for (size_t i = 0; i < places.size(); ++i) {
             (*results)[places[i]].result = std::move(accepted[i]);
           }
           const absl::Status* transient = FirstTransient(*results);
           reply(transient != nullptr ? Failed(*transient) : DataReply(*results, array, device));
         });
}

// What the topic says goes before what the payload must: the camera and what it is about.
absl::Status Application::Impl::ReadFlat(const TopicMessage& message, PayloadHeader* header,
                                         DataType* type) const {
  VD_RETURN_IF_ERROR(ReadHeader(message.call.body, payload_options(), header));
  TopicKind kind = message.kind;
  if (kind == TopicKind::kData) VD_RETURN_IF_ERROR(KindOfType(header->type, &kind));
  if (header->camera_id.empty()) header->camera_id = message.device;
  // Brokers let a device write to the topics of its own name only; that is worth nothing unless
  // what it writes there is its own.
  if (!message.device.empty() && header->camera_id != message.device) {
    return absl::InvalidArgumentError(absl::StrCat("camera_id: expected ", message.device,
                                                   " as in the topic, got ",
                                                   ShownText(header->camera_id)));
  }
  if (header->camera_id.empty() && kind != TopicKind::kFile) {
    return absl::InvalidArgumentError("Missing required field: camera_id");
  }
  *type = kind == TopicKind::kFile ? DataType::kControl : DataType::kConfig;
  if (kind == TopicKind::kDetection) {
    *type = DataType::kDetection;
    DetectionPayload payload;
    VD_RETURN_IF_ERROR(ReadDetection(message.call.body, payload_options(), &payload));
    // Sent again it could not be recognised.
    if (!header->timestamp.has_value()) {
      return absl::InvalidArgumentError("Missing required field: timestamp");
    }
  }
  if (kind == TopicKind::kHealth) {
    *type = DataType::kHealth;
    HealthPayload payload;
    VD_RETURN_IF_ERROR(ReadHealth(message.call.body, payload_options(), &payload));
    if (payload.status.empty()) {
      return absl::InvalidArgumentError("Missing required field: status");
    }
  }
  return absl::OkStatus();
}

void Application::Impl::TopicFlat(TopicMessage message, ReplyFn reply) {
  PayloadHeader header;
  DataType type = DataType::kDetection;
  const absl::Status status = ReadFlat(message, &header, &type);
  if (!status.ok()) return RefuseTopic(message, header.message_id, status, std::move(reply));
  message.tells_of_file = type == DataType::kControl && header.type == kFileRequestType;
  if (message.device.empty()) message.device = header.camera_id;
  if (header.camera_id.empty()) header.camera_id = options_.node_id;
  // A health report that comes as it is published tells of that moment, the next one of the next.
  const bool same_again =
      type == DataType::kConfig || type == DataType::kControl || IsRetained(message.call);
  std::string message_id = header.message_id == kNilUuid ? "" : header.message_id;
  if (same_again && !header.timestamp.has_value() && !IsWholeKey(message_id)) {
    header.message_id = TimelessId(header.camera_id, message.call.path, type, message.call.body);
  }
  Envelope envelope = MakeEnvelope(message.call, std::move(header), type, message.call.body);
  message.call.body.clear();
  if (message_id.empty()) message_id = envelope.message_id;
  absl::Status checked = CheckPayload(envelope);
  if (!checked.ok()) return RefuseTopic(message, message_id, checked, std::move(reply));
  std::vector<Arrival> batch;
  batch.push_back(std::move(envelope));
  const Sender sender = SenderOf(message.call);
  Accept(std::move(batch), sender,
         [this, message_id, message = std::move(message),
          reply = std::move(reply)](std::vector<AcceptResult> results) {
           const AcceptResult& result = results.front();
           if (message.tells_of_file && result.status.ok() && parts_.store != nullptr) {
             return AnswerFile(message, message_id, result, reply);
           }
           AnswerTopic(message, message_id, result, reply);
         });
}

// A retained one tells of the past: nobody was seen now.
void Application::Impl::TopicStatus(TopicMessage message, ReplyFn reply) {
  const absl::StatusOr<DeviceStatus> status =
      ReadDeviceStatus(message.call.body, options_.max_body_bytes);
  if (!status.ok()) return RefuseTopic(message, "", status.status(), std::move(reply));
  if (parts_.store == nullptr) return reply(ErrorReply(501, "this node keeps no devices"));
  DeviceRecord record;
  record.device_id = message.device;
  record.at = parts_.clock->Now();
  record.status = status->word;
  if (!status->facts.hostname.empty()) record.hostname = status->facts.hostname;
  record.seen = !IsRetained(message.call) && status->word != kOfflineWord;
  std::vector<StoreRecord> records;
  records.emplace_back(std::move(record));
  parts_.store->Append(std::move(records),
                       [this, message = std::move(message),
                        reply = std::move(reply)](std::vector<AppendResult> results) {
                         const absl::Status& status = results.front().status;
                         if (status.ok()) return reply(JsonReply(200, ""));
                         if (IsTransient(status)) return reply(Failed(status));
                         RefuseTopic(message, "", status, reply);
                       });
}

}  // namespace viaduct
