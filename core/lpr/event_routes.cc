// Create, read, change and delete lpr_events.
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/ids.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/json_fields.h"
#include "core/message/identity.h"

namespace viaduct {
namespace {

constexpr int kDefaultEvents = 50;
constexpr size_t kUuidBytes = 36;
constexpr size_t kMaxPathBytes = 1024;

void WriteEventJson(const EventRow& event, JsonWriter* json) {
  const auto text_or_null = [json](std::string_view key, const std::string& text) {
    json->Key(key);
    text.empty() ? json->Null() : json->String(text);
  };
  json->BeginObject().Field("event_id", std::string_view(event.event_id));
  text_or_null("detection_id", event.detection_id);
  json->Field("edge_device_id", std::string_view(event.device_id));
  text_or_null("license_plate", event.license_plate);
  json->Key("confidence");
  event.confidence.has_value() ? json->Real(*event.confidence) : json->Null();
  text_or_null("image_path", event.image_path);
  text_or_null("image_status", !event.image_path.empty() ? "stored"
                               : event.image_pending     ? "pending"
                                                         : "");
  json->Key("metadata").Stored(event.metadata_json);
  json->Field("timestamp", event.captured_at).Field("created_at", event.created_at);
  json->Field("updated_at", event.updated_at).EndObject();
}

// "<detection id>-<n>" belongs to detections: nobody may take such an id before them.
bool LooksLikeDetectionEvent(std::string_view id) {
  return id.size() > kUuidBytes && IsUuid(id.substr(0, kUuidBytes)) && id[kUuidBytes] == '-';
}

absl::Status CheckImagePath(std::string_view path) {
  if (path.size() > kMaxPathBytes) return absl::InvalidArgumentError("image_path: too long");
  for (const absl::string_view part : absl::StrSplit(AbslView(path), '/')) {
    if (part == ".." || (part.empty() && !path.empty())) {
      return absl::InvalidArgumentError("image_path: expected a path below the image folder");
    }
  }
  return absl::OkStatus();
}

absl::Status ReadEvent(const JsonFields& fields, absl::TimeZone zone, EventRecord* record) {
  VD_ASSIGN_OR_RETURN(record->device_id, fields.Identity());
  VD_ASSIGN_OR_RETURN(record->license_plate,
                      fields.Text({"license_plate", "plate_number", "plate"}, kMaxPlateBytes));
  VD_ASSIGN_OR_RETURN(const std::optional<double> confidence, fields.Number("confidence"));
  if (confidence.has_value()) {
    record->confidence = ScaleConfidence(*confidence);
    if (!record->confidence.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("confidence: expected 0 to 1 or 0 to 100, got ", *confidence));
    }
  }
  VD_ASSIGN_OR_RETURN(record->image_path, fields.Text({"image_path"}, kMaxPathBytes));
  if (record->image_path.has_value()) VD_RETURN_IF_ERROR(CheckImagePath(*record->image_path));
  VD_ASSIGN_OR_RETURN(record->metadata_json, fields.Object("metadata"));
  VD_ASSIGN_OR_RETURN(record->captured_at, fields.Time("timestamp", zone));
  return absl::OkStatus();
}

absl::Status ReadEventId(const JsonFields& fields, EventRecord* record) {
  VD_ASSIGN_OR_RETURN(const std::optional<std::string> id,
                      fields.Text({"event_id"}, ParseLimits().max_id_bytes));
  if (!id.has_value() || id->empty()) return absl::OkStatus();
  const absl::Status checked = CheckIdentifier(*id, ParseLimits().max_id_bytes);
  if (!checked.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("event_id: ", checked.message()));
  }
  if (LooksLikeDetectionEvent(*id)) {
    return absl::InvalidArgumentError("event_id: reserved for the events of detections");
  }
  record->event_id = *id;
  return absl::OkStatus();
}

}  // namespace

void Application::Impl::ListEvents(RoutedRequest request, ReplyFn reply) {
  EventsQuery query;
  const auto read = [&]() -> absl::Status {
    VD_ASSIGN_OR_RETURN(const QueryParams params, QueryParams::Parse(request.call.query));
    query.device_id = params.Text({"device"});
    if (query.device_id.empty()) query.device_id = params.Identity();
    VD_RETURN_IF_ERROR(PermitList(request.call, &query.device_id));
    query.plate = params.Text({"plate", "license_plate"});
    query.cursor = params.Text({"cursor"});
    VD_ASSIGN_OR_RETURN(query.limit, params.Int("limit", kDefaultEvents, 1, kMaxPageRows));
    VD_ASSIGN_OR_RETURN(query.from, params.Time("from", options_.zone));
    VD_ASSIGN_OR_RETURN(query.to, params.Time("to", options_.zone));
    VD_ASSIGN_OR_RETURN(query.min_confidence, params.Real("min_confidence"));
    if (query.min_confidence.has_value()) {
      const std::optional<double> scaled = ScaleConfidence(*query.min_confidence);
      if (!scaled.has_value()) {
        return absl::InvalidArgumentError("min_confidence: expected 0 to 1 or 0 to 100");
      }
      query.min_confidence = scaled;
    }
    return absl::OkStatus();
  };
  const absl::Status status = read();
  if (!status.ok()) return reply(Failed(status));
  const absl::StatusOr<EventsPage> page = parts_.store->ListEvents(query);
  if (!page.ok()) return reply(Failed(page.status()));
  JsonWriter json;
  json.BeginObject().Field("success", true).Key("events").BeginArray();
  for (const EventRow& event : page->rows) WriteEventJson(event, &json);
  json.EndArray().Field("returned_count", static_cast<int64_t>(page->rows.size()));
  json.Key("next_cursor");
  page->next_cursor.empty() ? json.Null() : json.String(page->next_cursor);
  json.EndObject();
  reply(JsonReply(200, json.Take()));
}

void Application::Impl::GetEvent(RoutedRequest request, ReplyFn reply) {
  const absl::StatusOr<EventRow> event = parts_.store->GetEvent(request.parameter);
  if (!event.ok()) return reply(Failed(event.status()));
  // Another device's is not there, so that nobody finds out which ids are.
  if (!Permit(request.call, event->device_id).ok()) {
    return reply(Failed(
        absl::NotFoundError(absl::StrCat("event: unknown, ", ShownText(request.parameter)))));
  }
  JsonWriter json;
  json.BeginObject().Field("success", true).Key("event");
  WriteEventJson(*event, &json);
  json.EndObject();
  reply(JsonReply(200, json.Take()));
}

void Application::Impl::WriteEvent(EventRecord record, ReplyFn reply) {
  const bool creates = record.action == EventRecord::Action::kCreate;
  std::vector<StoreRecord> records;
  records.emplace_back(std::move(record));
  parts_.store->Append(std::move(records), [this, creates, reply = std::move(reply)](
                                               std::vector<AppendResult> results) {
    const AppendResult& result = results.front();
    if (!result.status.ok()) return reply(Failed(result.status));
    JsonWriter json;
    json.BeginObject().Field("success", true).Field("event_id", std::string_view(result.id));
    if (result.duplicate) json.Field("duplicate", true);
    json.EndObject();
    reply(JsonReply(creates && !result.duplicate ? 201 : 200, json.Take()));
  });
}

void Application::Impl::CreateEvent(RoutedRequest request, ReplyFn reply) {
  EventRecord record;
  record.at = parts_.clock->Now();
  record.event_id = NewUuid(record.at);
  const absl::StatusOr<JsonFields> fields =
      JsonFields::Parse(request.call.body, options_.max_body_bytes);
  if (!fields.ok()) return reply(MalformedReply(fields.status()));
  absl::Status status = ReadEvent(*fields, options_.zone, &record);
  if (status.ok()) status = ReadEventId(*fields, &record);
  if (status.ok() && !record.device_id.has_value()) {
    status = absl::InvalidArgumentError("Missing required field: edge_device_id");
  }
  if (status.ok()) status = Permit(request.call, *record.device_id);
  if (!status.ok()) return reply(Failed(status));
  WriteEvent(std::move(record), std::move(reply));
}

void Application::Impl::UpdateEvent(RoutedRequest request, ReplyFn reply) {
  EventRecord record;
  record.action = EventRecord::Action::kUpdate;
  record.at = parts_.clock->Now();
  record.event_id = std::move(request.parameter);
  const absl::StatusOr<JsonFields> fields =
      JsonFields::Parse(request.call.body, options_.max_body_bytes);
  if (!fields.ok()) return reply(MalformedReply(fields.status()));
  const absl::Status status = ReadEvent(*fields, options_.zone, &record);
  if (!status.ok()) return reply(Failed(status));
  WriteEvent(std::move(record), std::move(reply));
}

void Application::Impl::DeleteEvent(RoutedRequest request, ReplyFn reply) {
  EventRecord record;
  record.action = EventRecord::Action::kDelete;
  record.at = parts_.clock->Now();
  record.event_id = std::move(request.parameter);
  WriteEvent(std::move(record), std::move(reply));
}

}  // namespace viaduct
