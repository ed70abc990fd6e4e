// What the newer production cameras send: "message" with content in several wrappings, and "image".
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/ingest.h"
#include "core/lpr/json_fields.h"
#include "core/lpr/session_reply.h"
#include "core/message/identity.h"
#include "core/message/json_scanner.h"
#include "core/store/image_data.h"

namespace viaduct {
namespace {

constexpr size_t kMaxIdBytes = 128;
constexpr absl::string_view kFileNamePrefix = "detection_";
constexpr size_t kFileStampBytes = 15;  // YYYYMMDD_HHMMSS

CallReply Failure(std::string_view event, const absl::Status& why) {
  JsonWriter json;
  json.BeginObject().Field("success", false).Field("error", StdView(why.message())).EndObject();
  return EventReply(event, json.Take(), HttpStatusOf(why));
}

bool IsJsonObject(std::string_view text, size_t max_bytes) {
  JsonScanLimits limits;
  limits.max_bytes = max_bytes;
  JsonSlice value;
  return JsonScanner(text, limits).ScanDocument(&value).ok() && value.type == JsonType::kObject;
}

// The text of an object, plain or inside a string; for any other text one that holds it.
std::string AsPayload(const JsonSlice& value, size_t max_bytes) {
  if (value.type == JsonType::kObject) return std::string(value.text);
  std::string text =
      value.type == JsonType::kString ? DecodeJsonString(value.text) : std::string(value.text);
  if (value.type == JsonType::kString && IsJsonObject(text, max_bytes)) return text;
  JsonWriter json;
  json.BeginObject().Field("type", kDetectionType).Field("content", std::string_view(text));
  json.EndObject();
  return json.Take();
}

// The camera that registered said there where it stands.
void AddRegistered(const SessionCamera& registered, PayloadHeader* header) {
  if (header->checkpoint_id.empty() && header->camera_id == registered.camera_id) {
    header->checkpoint_id = registered.checkpoint_id;
  }
}

// The store knows a checkpoint from the payload alone.
void AddCheckpoint(std::string_view checkpoint_id, size_t max_bytes, std::string* payload) {
  JsonScanLimits limits;
  limits.max_bytes = max_bytes;
  std::vector<JsonMember> members;
  if (checkpoint_id.empty() || !JsonScanner(*payload, limits).ScanObject(&members).ok()) return;
  for (const JsonMember& member : members) {
    if (member.key == "checkpoint_id") return;
  }
  JsonWriter json;
  json.BeginObject().Field("checkpoint_id", checkpoint_id).EndObject();
  std::string added = json.Take();
  added.back() = members.empty() ? ' ' : ',';
  payload->replace(0, payload->find('{') + 1, added);
}

// detection_YYYYMMDD_HHMMSS.jpg names the time of capture.
std::optional<absl::Time> TimeOfFile(std::string_view filename, absl::TimeZone zone) {
  const absl::string_view name = AbslView(filename);
  if (name.substr(0, kFileNamePrefix.size()) != kFileNamePrefix) return std::nullopt;
  absl::Time time;
  std::string error;
  const absl::string_view stamp = name.substr(kFileNamePrefix.size(), kFileStampBytes);
  if (!absl::ParseTime("%E4Y%m%d_%H%M%S", stamp, zone, &time, &error)) return std::nullopt;
  return time;
}

}  // namespace

// The content may be an object, JSON inside a string, or words; the camera may stand inside, beside
// it, or be the one that this session has registered.
absl::StatusOr<Envelope> Application::Impl::ReadContent(const CallRequest& call,
                                                        std::string* checkpoint_id) const {
  JsonScanLimits limits;
  limits.max_bytes = options_.max_body_bytes;
  JsonSlice whole;
  VD_RETURN_IF_ERROR(JsonScanner(call.body, limits).ScanDocument(&whole));
  std::string outer = AsPayload(whole, options_.max_body_bytes);
  std::string payload = outer;
  std::vector<JsonMember> members;
  VD_RETURN_IF_ERROR(JsonScanner(outer, limits).ScanObject(&members));
  for (const JsonMember& member : members) {
    const bool wrapped = member.key == "content" && whole.type == JsonType::kObject;
    if (wrapped) payload = AsPayload(member.value, options_.max_body_bytes);
  }
  PayloadHeader header;
  PayloadHeader beside;
  VD_RETURN_IF_ERROR(ReadHeader(payload, payload_options(), &header));
  VD_RETURN_IF_ERROR(ReadHeader(outer, payload_options(), &beside));
  const SessionCamera registered = sessions_.CameraOf(call.peer.instance, SessionOf(call));
  if (header.camera_id.empty()) header.camera_id = beside.camera_id;
  if (header.camera_id.empty()) header.camera_id = registered.camera_id;
  if (header.camera_id.empty()) {
    return absl::InvalidArgumentError("Missing required field: camera_id");
  }
  const bool inside = !header.checkpoint_id.empty();
  if (!inside) header.checkpoint_id = beside.checkpoint_id;
  AddRegistered(registered, &header);
  if (!inside) AddCheckpoint(header.checkpoint_id, options_.max_body_bytes, &payload);
  if (header.message_id.empty()) header.message_id = beside.message_id;
  if (!header.timestamp.has_value()) header.timestamp = beside.timestamp;
  *checkpoint_id = header.checkpoint_id;
  const DataType type = header.type == kHealthType ? DataType::kHealth : DataType::kDetection;
  Envelope envelope = MakeEnvelope(call, std::move(header), type, std::move(payload));
  VD_RETURN_IF_ERROR(CheckMessage(envelope, payload_options()));
  return envelope;
}

void Application::Impl::EventMessage(CallRequest call, ReplyFn reply) {
  std::string checkpoint;
  absl::StatusOr<Envelope> envelope = ReadContent(call, &checkpoint);
  if (!envelope.ok()) {
    NoteRefusal(call, "message", envelope.status());
    return reply(Failure("message_error", envelope.status()));
  }
  AcceptOne(call, *std::move(envelope), checkpoint, [reply](const AcceptResult& result) {
    if (!result.status.ok()) return reply(Failure("message_error", result.status));
    JsonWriter json;
    json.BeginObject().Field("record_id", std::string_view(result.id));
    json.Field("message", "message_saved").Field("success", true).EndObject();
    reply(EventReply("message_saved", json.Take()));
  });
}

// An image becomes a detection of its own, so that nothing but a stored row ever names a file.
absl::StatusOr<Envelope> Application::Impl::ReadImage(const CallRequest& call,
                                                      std::string* path) const {
  VD_ASSIGN_OR_RETURN(const JsonFields fields,
                      JsonFields::Parse(call.body, options_.max_body_bytes));
  VD_ASSIGN_OR_RETURN(const auto data, fields.Text({"data", "image"}, options_.max_body_bytes));
  VD_ASSIGN_OR_RETURN(const auto filename, fields.Text({"filename"}, kMaxNameBytes));
  VD_ASSIGN_OR_RETURN(const auto camera, fields.Identity());
  VD_ASSIGN_OR_RETURN(const auto checkpoint, fields.Text({"checkpoint_id"}, kMaxIdBytes));
  const SessionCamera registered = sessions_.CameraOf(call.peer.instance, SessionOf(call));
  PayloadHeader header;
  header.camera_id = camera.value_or(registered.camera_id);
  header.checkpoint_id = checkpoint.value_or("");
  AddRegistered(registered, &header);
  if (header.camera_id.empty()) {
    return absl::InvalidArgumentError("Missing required field: camera_id");
  }
  if (!data.has_value()) return absl::InvalidArgumentError("Missing required field: data");
  const ImageFolderOptions folder;
  VD_ASSIGN_OR_RETURN(const Image image, DecodeImage(*data, folder.max_image_bytes));
  header.timestamp = TimeOfFile(filename.value_or(""), options_.zone);
  const std::string checkpoint_id = header.checkpoint_id;
  JsonWriter json;
  json.BeginObject().Field("type", kDetectionType);
  json.Field("camera_id", std::string_view(header.camera_id));
  json.Field("checkpoint_id", std::string_view(checkpoint_id));
  json.Field("filename", std::string_view(filename.value_or("")));
  json.Field("annotated_image", std::string_view(*data)).EndObject();
  Envelope envelope = MakeEnvelope(call, std::move(header), DataType::kDetection, json.Take());
  *path = absl::StrCat(
      "images/", AnnotatedImagePath(envelope.edge_device_id, checkpoint_id, envelope.timestamp,
                                    KeyOf(envelope), image.extension));
  return envelope;
}

void Application::Impl::EventImage(CallRequest call, ReplyFn reply) {
  std::string path;
  absl::StatusOr<Envelope> envelope = ReadImage(call, &path);
  if (!envelope.ok()) {
    NoteRefusal(call, "image", envelope.status());
    return reply(Failure("image_error", envelope.status()));
  }
  AcceptOne(call, *std::move(envelope), "", [reply, path](const AcceptResult& result) {
    if (!result.status.ok()) return reply(Failure("image_error", result.status));
    JsonWriter json;
    json.BeginObject().Field("path", std::string_view(path)).Field("success", true).EndObject();
    reply(EventReply("image_saved", json.Take()));
  });
}

}  // namespace viaduct
