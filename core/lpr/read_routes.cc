// What dashboards read: statistics, records, cameras.
#include <map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/payload_images.h"
#include "core/lpr/record_search.h"
#include "core/message/json_scanner.h"

namespace viaduct {
namespace {

constexpr int kDefaultRecords = 20;
constexpr size_t kMaxShownImageFiles = 1 + kMaxImagesPerDetection;
constexpr absl::Duration kOnlineWindow = absl::Minutes(5);

// The members of a stored payload that a record shows as the device sent them.
class StoredPayload {
 public:
  explicit StoredPayload(std::string_view json) {
    JsonScanLimits limits;
    limits.max_bytes = json.size();  // It was under the limit when it came.
    if (!JsonScanner(json, limits).ScanObject(&members_).ok()) members_.clear();
  }

  // JSON text of a member; of one that came as JSON in a string, what the string holds.
  std::string Json(std::string_view key, std::string_view fallback) const {
    for (const JsonMember& member : members_) {
      if (member.key != key || member.value.type == JsonType::kNull) continue;
      if (member.value.type != JsonType::kString) return std::string(member.value.text);
      std::string inner = DecodeJsonString(member.value.text);
      JsonSlice slice;
      if (JsonScanner(inner, JsonScanLimits()).ScanDocument(&slice).ok()) return inner;
      return std::string(member.value.text);
    }
    return std::string(fallback);
  }

 private:
  std::vector<JsonMember> members_;
};

// Writes images of records as URLs or, within a budget, as data URLs.
class ImageWriter {
 public:
  ImageWriter(const ImageFolder* folder, bool inline_images, size_t budget)
      : folder_(folder), inline_(inline_images), budget_(budget) {}

  void Write(const std::string& path, JsonWriter* json) {
    if (path.empty()) {
      json->Null();
      return;
    }
    if (inline_ && folder_ != nullptr && WriteInline(path, json)) return;
    json->String(absl::StrCat("/images/", path));
  }

 private:
  bool WriteInline(const std::string& path, JsonWriter* json) {
    const absl::StatusOr<std::string> bytes = folder_->Read(path);
    if (!bytes.ok() || bytes->size() > budget_) return false;
    budget_ -= bytes->size();
    json->String(absl::StrCat("data:", AbslView(ImageContentType(path)), ";base64,",
                              absl::Base64Escape(*bytes)));
    return true;
  }

  const ImageFolder* const folder_;
  const bool inline_;
  size_t budget_;
};

void WritePlates(const std::vector<PlateRead>& plates, ImageWriter* images, JsonWriter* json) {
  json->Key("plates").BeginArray();
  for (const PlateRead& plate : plates) {
    json->BeginObject().Field("text", std::string_view(plate.text)).Key("confidence");
    plate.confidence.has_value() ? json->Real(*plate.confidence) : json->Null();
    json->Key("image");
    images->Write(plate.image_path, json);
    json->EndObject();
  }
  json->EndArray();
}

bool IsStored(const DetectionRecord& record, std::string_view kind, size_t index) {
  if (kind == kVehicleImageKind) return !record.image_path.empty();
  return index < record.plate_images.size() && !record.plate_images[index].empty();
}

// The images that were announced as files, and whether they are there.
void WriteImageFiles(const DetectionRecord& record, std::string_view files, JsonWriter* json) {
  std::vector<JsonElement> elements;
  if (!JsonScanner(files, {}).ScanArray(kMaxShownImageFiles, &elements).ok()) return;
  json->Key(kImageFilesKey).BeginArray();
  for (const JsonElement& element : elements) {
    if (element.value.type != JsonType::kObject) continue;
    std::string kind;
    int64_t index = 0;
    json->BeginObject();
    for (const JsonMember& member : element.members) {
      if (member.key == "status") continue;
      if (member.key == "kind" && member.value.type == JsonType::kString) {
        kind = DecodeJsonString(member.value.text);
      }
      if (member.key == "index" && !absl::SimpleAtoi(AbslView(member.value.text), &index)) {
        index = -1;
      }
      json->Key(member.key).Raw(member.value.text);
    }
    const bool stored = index >= 0 && IsStored(record, kind, static_cast<size_t>(index));
    json->Field("status", stored ? "stored" : "pending").EndObject();
  }
  json->EndArray();
}

void WriteRecord(const DetectionRow& row, bool with_payload, ImageWriter* images,
                 JsonWriter* json) {
  const DetectionRecord& r = row.record;
  const StoredPayload payload(r.payload_json);
  json->BeginObject();
  json->Field("detection_id", std::string_view(row.detection_id));
  json->Field("message_id", std::string_view(r.message_id));
  json->Field("camera_id", std::string_view(r.camera_id));
  json->Field("checkpoint_id", std::string_view(r.checkpoint_id));
  json->Field("timestamp", r.captured_at).Field("created_at", r.arrived_at);
  json->Field("protocol", std::string_view(r.protocol));
  json->Field("vehicles_count", int64_t{r.vehicles_count});
  json->Field("plates_count", int64_t{r.plates_count});
  json->Key("ocr_results").Raw(payload.Json("ocr_results", "[]"));
  json->Key("vehicle_detections").Raw(payload.Json("vehicle_detections", "[]"));
  json->Key("plate_detections").Raw(payload.Json("plate_detections", "[]"));
  json->Key("processing_time_ms").Raw(payload.Json("processing_time_ms", "null"));
  json->Key("annotated_image");
  images->Write(r.image_path, json);
  json->Key("cropped_plates").BeginArray();
  for (const std::string& path : r.plate_images) images->Write(path, json);
  json->EndArray();
  WritePlates(r.plates, images, json);
  WriteImageFiles(r, payload.Json(kImageFilesKey, ""), json);
  if (!r.note.empty()) json->Field("note", std::string_view(r.note));
  if (with_payload) json->Key("payload").Stored(r.payload_json);
  json->EndObject();
}

}  // namespace

void Application::Impl::GetStatistics(RoutedRequest /*request*/, ReplyFn reply) {
  const absl::StatusOr<StoreStatistics> statistics = parts_.store->Statistics();
  if (!statistics.ok()) return reply(Failed(statistics.status()));
  const StoreStatistics& s = *statistics;
  const StoreHealth health = parts_.store->Health();
  JsonWriter json;
  json.BeginObject().Field("success", true).Key("data").BeginObject();
  json.Field("total_detections", s.total_detections);
  json.Field("today_detections", s.today_detections);
  json.Field("total_health_checks", s.total_health_checks);
  json.Field("today_health_checks", s.today_health_checks);
  json.Field("unique_cameras", s.unique_cameras).Field("total_cameras", s.total_cameras);
  json.Field("active_cameras", s.active_cameras).Field("blacklist_count", s.blacklist_count);
  json.Field("connected_clients",
             parts_.connected_clients ? parts_.connected_clients() : sessions_.size());
  json.Field("last_update", s.last_update);
  json.Field("server_status", health.state == StoreHealth::State::kOk ? "running" : "degraded");
  json.EndObject().EndObject();
  reply(JsonReply(200, json.Take()));
}

// By plate, time or confidence they are found by their events; else all stand in one list, which is
// counted.
absl::StatusOr<RecordsPage> Application::Impl::FindRecords(const CallRequest& call,
                                                           const QueryParams& params,
                                                           const RecordsQuery& query,
                                                           bool* counted) const {
  RecordSearch search;
  EventsQuery& events = search.events;
  events.plate = params.Text({"plate"});
  VD_RETURN_IF_ERROR(PermitPlate(call, events.plate));
  VD_ASSIGN_OR_RETURN(events.from, params.Time("from", options_.zone));
  VD_ASSIGN_OR_RETURN(events.to, params.Time("to", options_.zone));
  VD_ASSIGN_OR_RETURN(events.min_confidence, params.Real("min_confidence"));
  *counted = events.plate.empty() && !events.from.has_value() && !events.to.has_value() &&
             !events.min_confidence.has_value();
  if (*counted) return parts_.store->ListRecords(query);
  events.device_id = query.camera_id;
  events.limit = query.limit;
  search.checkpoint_id = query.checkpoint_id;
  search.cursor = query.cursor;
  return SearchRecords(parts_.store, std::move(search));
}

void Application::Impl::GetRecords(RoutedRequest request, ReplyFn reply) {
  absl::StatusOr<QueryParams> params = QueryParams::Parse(request.call.query);
  if (!params.ok()) return reply(Failed(params.status()));
  const absl::StatusOr<int> limit = params->Int("limit", kDefaultRecords, 1, kMaxPageRows);
  if (!limit.ok()) return reply(Failed(limit.status()));
  RecordsQuery query;
  query.limit = *limit;
  query.camera_id = params->Identity();
  const absl::Status permitted = PermitList(request.call, &query.camera_id);
  if (!permitted.ok()) return reply(Failed(permitted));
  query.checkpoint_id = params->Text({"checkpoint_id"});
  query.cursor = params->Text({"cursor"});
  bool counted = false;
  const absl::StatusOr<RecordsPage> page = FindRecords(request.call, *params, query, &counted);
  if (!page.ok()) return reply(Failed(page.status()));
  ImageWriter images(parts_.images, params->Text({"images"}) == "inline",
                     options_.max_inline_image_bytes);
  const bool with_payload = params->Text({"include"}) == "payload";
  JsonWriter json;
  json.BeginObject().Field("success", true).Key("records").BeginArray();
  for (const DetectionRow& row : page->rows) WriteRecord(row, with_payload, &images, &json);
  json.EndArray();
  json.Key("total_count");
  counted ? json.Int(page->total) : json.Null();
  json.Field("returned_count", static_cast<int64_t>(page->rows.size()));
  json.Key("next_cursor");
  page->next_cursor.empty() ? json.Null() : json.String(page->next_cursor);
  json.Field("timestamp", parts_.clock->Now()).EndObject();
  reply(JsonReply(200, json.Take()));
}

void Application::Impl::GetRecord(RoutedRequest request, ReplyFn reply) {
  DetectionsQuery query;
  MessageKey key{};
  if (ParseKey(request.parameter, &key)) query.keys.push_back(key);
  const absl::StatusOr<DetectionsReport> report =
      ReportOf<DetectionsReport>(parts_.store, std::move(query));
  if (!report.ok()) return reply(Failed(report.status()));
  // What another has is not there for a device.
  if (report->rows.empty() || !Permit(request.call, report->rows[0].record.camera_id).ok()) {
    return reply(ErrorReply(404, "record: unknown, " + ShownText(request.parameter)));
  }
  ImageWriter images(parts_.images, false, options_.max_inline_image_bytes);
  JsonWriter json;
  json.BeginObject().Field("success", true).Key("record");
  WriteRecord(report->rows[0], /*with_payload=*/true, &images, &json);
  json.EndObject();
  reply(JsonReply(200, json.Take()));
}

// A camera that has been silent is offline, whatever it said last; a state that an operator set
// stays.
std::string_view Application::Impl::ShownStatus(const DeviceRow& device) const {
  if (device.status != "online" && device.status != "offline") return device.status;
  if (sessions_.IsOnline(device.device_id)) return "online";
  if (device.status == "offline") return "offline";
  const bool seen = device.last_seen != absl::InfinitePast() &&
                    parts_.clock->Now() - device.last_seen <= kOnlineWindow;
  return seen ? "online" : "offline";
}

void Application::Impl::GetCameras(RoutedRequest request, ReplyFn reply) {
  absl::StatusOr<QueryParams> params = QueryParams::Parse(request.call.query);
  if (!params.ok()) return reply(Failed(params.status()));
  const absl::StatusOr<int> limit = params->Int("limit", kMaxPageRows, 1, kMaxPageRows);
  if (!limit.ok()) return reply(Failed(limit.status()));
  const absl::StatusOr<DevicesPage> page =
      parts_.store->ListDevices(*limit, params->Text({"cursor"}));
  if (!page.ok()) return reply(Failed(page.status()));
  JsonWriter json;
  json.BeginObject().Field("success", true).Key("cameras").BeginArray();
  for (const DeviceRow& device : page->rows) {
    json.BeginObject().Field("camera_id", std::string_view(device.device_id));
    json.Field("checkpoint_id", std::string_view(device.checkpoint_id));
    json.Field("camera_name", std::string_view(device.name));
    json.Field("registered_at", device.registered_at).Field("last_seen", device.last_seen);
    json.Field("status", ShownStatus(device)).Field("detection_count", device.detection_count);
    json.Key("latitude");
    device.latitude.has_value() ? json.Real(*device.latitude) : json.Null();
    json.Key("longitude");
    device.longitude.has_value() ? json.Real(*device.longitude) : json.Null();
    json.Field("health_status", std::string_view(device.health_status)).EndObject();
  }
  json.EndArray().Field("total_cameras", page->total).Key("next_cursor");
  page->next_cursor.empty() ? json.Null() : json.String(page->next_cursor);
  json.Field("timestamp", parts_.clock->Now()).EndObject();
  reply(JsonReply(200, json.Take()));
}

}  // namespace viaduct
