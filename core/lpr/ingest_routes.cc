// Everything that devices send in flat form, and envelopes over HTTP.
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/ingest.h"
#include "core/lpr/partial_batch.h"
#include "core/message/envelope_batch.h"
#include "core/message/identity.h"
#include "core/message/json_scanner.h"

namespace viaduct {
namespace {

struct RequiredField {
  std::string_view name;
  bool present;
};

// The first that is missing, in the order in which the original server named them.
absl::Status CheckRequired(std::initializer_list<RequiredField> fields) {
  for (const RequiredField& field : fields) {
    if (!field.present) {
      return absl::InvalidArgumentError(
          absl::StrCat("Missing required field: ", AbslView(field.name)));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckHeader(const PayloadHeader& header, std::string_view type) {
  VD_RETURN_IF_ERROR(CheckRequired({{"type", !header.type.empty()},
                                    {"camera_id", !header.camera_id.empty()},
                                    {"checkpoint_id", !header.checkpoint_id.empty()},
                                    {"timestamp", header.timestamp.has_value()}}));
  if (header.type == type) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("type: expected ", AbslView(type), ", got ", ShownText(header.type)));
}

// Errors of the JSON itself begin with the position.
bool IsMalformed(const absl::Status& status) {
  return status.message().substr(0, 8) == "at byte " || status.message().substr(0, 3) == "at ";
}

CallReply BadPayload(const absl::Status& status) {
  return IsMalformed(status) ? MalformedReply(status) : ErrorReply(400, StdView(status.message()));
}

// The answer to a whole document: an error only when nothing of it was taken.
CallReply BatchReply(const std::vector<std::string>& ids, const std::vector<AcceptResult>& results,
                     absl::Duration retry_after) {
  bool any_ok = results.empty();
  const absl::Status* transient = nullptr;
  for (const AcceptResult& result : results) {
    any_ok = any_ok || result.status.ok();
    if (IsTransient(result.status)) transient = &result.status;
  }
  JsonWriter json;
  json.BeginObject().Field("success", any_ok);
  if (!any_ok) {
    const absl::Status& why = transient != nullptr ? *transient : results.front().status;
    json.Field("message", StdView(why.message()));
  }
  json.Key("results").BeginArray();
  for (size_t i = 0; i < results.size(); ++i) WriteResult(ids[i], results[i], retry_after, &json);
  json.EndArray().EndObject();
  if (any_ok) return JsonReply(200, json.Take());
  CallReply reply =
      transient != nullptr ? StatusReply(*transient, retry_after) : ErrorReply(400, "");
  // An array whose elements were all refused for good is answered item by item.
  if (transient == nullptr && results.size() > 1) reply.status = 200;
  reply.body = json.Take();
  return reply;
}

}  // namespace

PayloadOptions Application::Impl::payload_options() const {
  PayloadOptions options;
  options.naive_zone = options_.zone;
  options.max_bytes = options_.max_body_bytes;
  return options;
}

Envelope Application::Impl::MakeEnvelope(const CallRequest& call, PayloadHeader header,
                                         DataType type, std::string payload) const {
  Envelope envelope;
  envelope.timestamp = header.timestamp.value_or(parts_.clock->Now());
  envelope.protocol = std::string(EnvelopeProtocol(call.protocol));
  envelope.data_type = type;
  envelope.message_id = std::move(header.message_id);
  if (envelope.message_id.empty() || envelope.message_id == kNilUuid) {
    envelope.message_id = DeriveMessageId(
        MessageKeyParts{header.camera_id, header.checkpoint_id, envelope.timestamp, type, payload});
  }
  envelope.edge_device_id = std::move(header.camera_id);
  envelope.payload_json = std::move(payload);
  return envelope;
}

void Application::Impl::AnswerFlat(const CallRequest& call, Arrival arrival,
                                   std::string_view message, std::string_view id_name,
                                   ReplyFn reply) {
  std::vector<Arrival> batch;
  batch.push_back(std::move(arrival));
  Accept(std::move(batch), SenderOf(call),
         [this, message, id_name, reply = std::move(reply)](std::vector<AcceptResult> results) {
           const AcceptResult& result = results.front();
           if (!result.status.ok()) return reply(Failed(result.status));
           JsonWriter json;
           json.BeginObject().Field("success", true);
           if (!message.empty()) json.Field("message", message);
           json.Field(id_name, std::string_view(result.id));
           if (!message.empty()) json.Field("timestamp", parts_.clock->Now());
           json.EndObject();
           reply(JsonReply(200, json.Take()));
         });
}

void Application::Impl::PostDetection(RoutedRequest request, ReplyFn reply) {
  IngestDetection(std::move(request), /*alias=*/false, std::move(reply));
}

void Application::Impl::PostHealth(RoutedRequest request, ReplyFn reply) {
  IngestHealth(std::move(request), /*alias=*/false, std::move(reply));
}

absl::StatusOr<Arrival> Application::Impl::ReadFlat(CallRequest* call, DataType type,
                                                    std::string* checkpoint_id) const {
  DetectionPayload detection;
  HealthPayload health;
  const bool is_health = type == DataType::kHealth;
  PayloadHeader& header = is_health ? health.header : detection.header;
  PayloadOptions options = payload_options();
  options.keep_images = parts_.store != nullptr;
  VD_RETURN_IF_ERROR(is_health ? ReadHealth(call->body, options, &health)
                               : ReadDetection(call->body, options, &detection));
  VD_RETURN_IF_ERROR(CheckHeader(header, is_health ? kHealthType : kDetectionType));
  if (is_health) {
    VD_RETURN_IF_ERROR(CheckRequired(
        {{"component", !health.component.empty()}, {"status", !health.status.empty()}}));
  }
  *checkpoint_id = header.checkpoint_id;
  Envelope envelope = MakeEnvelope(*call, header, type, std::move(call->body));
  if (is_health || !options.keep_images) return envelope;
  return Arrival(std::move(envelope), std::move(detection));
}

void Application::Impl::IngestDetection(RoutedRequest request, bool alias, ReplyFn reply) {
  CallRequest& call = request.call;
  std::string checkpoint_id;
  absl::StatusOr<Arrival> arrival = ReadFlat(&call, DataType::kDetection, &checkpoint_id);
  if (!arrival.ok()) {
    NoteRefusal(call, "detection", arrival.status());
    return reply(BadPayload(arrival.status()));
  }
  AnswerFlat(call, *std::move(arrival), alias ? "" : "Detection data received",
             alias ? "id" : "detection_id", std::move(reply));
}

void Application::Impl::IngestHealth(RoutedRequest request, bool alias, ReplyFn reply) {
  CallRequest& call = request.call;
  std::string checkpoint_id;
  absl::StatusOr<Arrival> arrival = ReadFlat(&call, DataType::kHealth, &checkpoint_id);
  if (!arrival.ok()) {
    NoteRefusal(call, "health", arrival.status());
    return reply(BadPayload(arrival.status()));
  }
  AnswerFlat(call, *std::move(arrival), alias ? "" : "Health data received",
             alias ? "id" : "health_id", std::move(reply));
}

// Field devices post everything here; the type says what it is.
void Application::Impl::PostStatistics(RoutedRequest request, ReplyFn reply) {
  PayloadHeader header;
  absl::Status status = ReadHeader(request.call.body, payload_options(), &header);
  if (status.ok()) status = CheckRequired({{"type", !header.type.empty()}});
  if (status.ok() && header.type == kDetectionType) {
    return IngestDetection(std::move(request), /*alias=*/true, std::move(reply));
  }
  if (status.ok() && header.type == kHealthType) {
    return IngestHealth(std::move(request), /*alias=*/true, std::move(reply));
  }
  if (status.ok()) {
    status = absl::InvalidArgumentError(absl::StrCat("type: expected ", AbslView(kDetectionType),
                                                     " or ", AbslView(kHealthType), ", got ",
                                                     ShownText(header.type)));
  }
  NoteRefusal(request.call, "unknown", status);
  reply(BadPayload(status));
}

absl::StatusOr<Envelope> Application::Impl::ReadRegistrationCall(const CallRequest& call,
                                                                 std::string* checkpoint_id) const {
  RegistrationPayload payload;
  VD_RETURN_IF_ERROR(ReadRegistration(call.body, payload_options(), &payload));
  const PayloadHeader& header = payload.header;
  if (header.camera_id.empty() || header.checkpoint_id.empty()) {
    return absl::InvalidArgumentError("camera_id and checkpoint_id are required");
  }
  *checkpoint_id = header.checkpoint_id;
  // A registration travels as a configuration message of its own type; what the device sent is
  // written anew because its own `type` may be anything.
  JsonWriter json;
  json.BeginObject().Field("type", kRegistrationType);
  json.Field("camera_id", std::string_view(header.camera_id));
  json.Field("checkpoint_id", std::string_view(header.checkpoint_id));
  if (payload.camera_name) json.Field("camera_name", std::string_view(*payload.camera_name));
  if (payload.hostname) json.Field("hostname", std::string_view(*payload.hostname));
  if (payload.ip_address) json.Field("ip_address", std::string_view(*payload.ip_address));
  if (payload.latitude) json.Key("location_lat").Real(*payload.latitude);
  if (payload.longitude) json.Key("location_lon").Real(*payload.longitude);
  json.EndObject();
  return MakeEnvelope(call, std::move(payload.header), DataType::kConfig, json.Take());
}

void Application::Impl::PostRegistration(RoutedRequest request, ReplyFn reply) {
  CallRequest& call = request.call;
  std::string checkpoint;
  absl::StatusOr<Envelope> envelope = ReadRegistrationCall(call, &checkpoint);
  if (!envelope.ok()) {
    NoteRefusal(call, "register", envelope.status());
    return reply(BadPayload(envelope.status()));
  }
  const std::string camera = envelope->edge_device_id;
  std::vector<Arrival> batch;
  batch.push_back(*std::move(envelope));
  Accept(std::move(batch), SenderOf(call),
         [this, camera, checkpoint, reply = std::move(reply)](std::vector<AcceptResult> results) {
           if (!results.front().status.ok()) return reply(Failed(results.front().status));
           JsonWriter json;
           json.BeginObject().Field("success", true);
           json.Field("message", "Camera registered successfully");
           json.Field("camera_id", std::string_view(camera));
           json.Field("checkpoint_id", std::string_view(checkpoint));
           json.Field("timestamp", parts_.clock->Now()).EndObject();
           reply(JsonReply(200, json.Take()));
         });
}

void Application::Impl::PostEnvelopes(RoutedRequest request, ReplyFn reply) {
  CallRequest& call = request.call;
  ParseOptions options;
  options.limits.max_bytes = options_.max_body_bytes;
  options.naive_zone = options_.zone;
  absl::StatusOr<ParsedEnvelopes> parsed =
      ParseEnvelopes(call.body, options, static_cast<size_t>(options_.max_batch));
  if (!parsed.ok()) {
    NoteRefusal(call, "envelope", parsed.status());
    return reply(MalformedReply(parsed.status()));
  }
  const size_t count = parsed->items.size();
  auto ids = std::make_shared<std::vector<std::string>>();
  PartialBatch parts(count);
  for (size_t i = 0; i < count; ++i) {
    ParsedEnvelope& item = parsed->items[i];
    absl::Status status = item.envelope.status();
    if (status.ok()) status = CheckPayload(*item.envelope);
    ids->push_back(status.ok() ? item.envelope->message_id : item.message_id);
    if (status.ok()) {
      parts.Pass(i, std::move(*item.envelope));
    } else {
      NoteRefusal(call, "envelope", status);
      parts.Refuse(i, absl::InvalidArgumentError(status.message()));
    }
  }
  std::vector<Arrival> batch = parts.Take();
  Accept(std::move(batch), SenderOf(call),
         parts.Joined([this, ids, reply = std::move(reply)](std::vector<AcceptResult> results) {
           reply(BatchReply(*ids, results, options_.retry_after));
         }));
}

}  // namespace viaduct
