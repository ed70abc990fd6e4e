// Edge devices: list, create, read, change.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/json_fields.h"
#include "core/message/identity.h"

namespace viaduct {
namespace {

constexpr int kDefaultDevices = 100;
constexpr size_t kMaxStatusBytes = 64;

absl::Status ReadDevice(const JsonFields& fields, DeviceRecord* record) {
  VD_ASSIGN_OR_RETURN(record->hostname, fields.Text({"hostname"}, kMaxNameBytes));
  VD_ASSIGN_OR_RETURN(record->ip_address, fields.Text({"ip_address"}, kMaxNameBytes));
  VD_ASSIGN_OR_RETURN(record->name, fields.Text({"name", "camera_name"}, kMaxNameBytes));
  VD_ASSIGN_OR_RETURN(record->status, fields.Text({"status"}, kMaxStatusBytes));
  VD_ASSIGN_OR_RETURN(record->checkpoint_id,
                      fields.Text({"checkpoint_id"}, ParseLimits().max_id_bytes));
  VD_ASSIGN_OR_RETURN(record->latitude, fields.Number("location_lat"));
  VD_ASSIGN_OR_RETURN(record->longitude, fields.Number("location_lon"));
  if (record->status.has_value()) {
    const absl::Status checked = CheckIdentifier(*record->status, kMaxStatusBytes);
    if (!checked.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("status: ", checked.message()));
    }
  }
  return absl::OkStatus();
}

}  // namespace

void Application::Impl::AppendDevice(const DeviceRow& device, JsonWriter* json) const {
  json->BeginObject().Field("device_id", std::string_view(device.device_id));
  json->Field("hostname", std::string_view(device.hostname));
  json->Field("ip_address", std::string_view(device.ip_address));
  json->Field("status", ShownStatus(device));
  json->Field("last_seen", device.last_seen).Field("created_at", device.created_at);
  json->Field("name", std::string_view(device.name));
  json->Field("checkpoint_id", std::string_view(device.checkpoint_id));
  json->Field("registered_at", device.registered_at);
  json->Field("health_status", std::string_view(device.health_status));
  json->Field("detection_count", device.detection_count);
  json->Key("location_lat");
  device.latitude.has_value() ? json->Real(*device.latitude) : json->Null();
  json->Key("location_lon");
  device.longitude.has_value() ? json->Real(*device.longitude) : json->Null();
  json->EndObject();
}

void Application::Impl::ListDevices(RoutedRequest request, ReplyFn reply) {
  const absl::StatusOr<QueryParams> params = QueryParams::Parse(request.call.query);
  if (!params.ok()) return reply(Failed(params.status()));
  const absl::StatusOr<int> limit = params->Int("limit", kDefaultDevices, 1, kMaxPageRows);
  if (!limit.ok()) return reply(Failed(limit.status()));
  const absl::StatusOr<DevicesPage> page =
      parts_.store->ListDevices(*limit, params->Text({"cursor"}));
  if (!page.ok()) return reply(Failed(page.status()));
  JsonWriter json;
  json.BeginObject().Field("success", true).Key("devices").BeginArray();
  for (const DeviceRow& device : page->rows) AppendDevice(device, &json);
  json.EndArray().Field("total_count", page->total).Key("next_cursor");
  page->next_cursor.empty() ? json.Null() : json.String(page->next_cursor);
  json.EndObject();
  reply(JsonReply(200, json.Take()));
}

void Application::Impl::GetDevice(RoutedRequest request, ReplyFn reply) {
  const absl::Status permitted = Permit(request.call, request.parameter);
  if (!permitted.ok()) return reply(Failed(permitted));
  const absl::StatusOr<DeviceRow> device = parts_.store->GetDevice(request.parameter);
  if (!device.ok()) return reply(Failed(device.status()));
  JsonWriter json;
  json.BeginObject().Field("success", true).Key("device");
  AppendDevice(*device, &json);
  json.EndObject();
  reply(JsonReply(200, json.Take()));
}

void Application::Impl::WriteDevice(DeviceRecord record, std::string_view id_name, ReplyFn reply) {
  const int created = record.mode == DeviceRecord::Mode::kUpsert ? 201 : 200;
  std::vector<StoreRecord> records;
  records.emplace_back(std::move(record));
  parts_.store->Append(std::move(records), [this, created, id_name, reply = std::move(reply)](
                                               std::vector<AppendResult> results) {
    const AppendResult& result = results.front();
    if (!result.status.ok()) return reply(Failed(result.status));
    JsonWriter json;
    json.BeginObject().Field("success", true).Field(id_name, std::string_view(result.id));
    json.EndObject();
    reply(JsonReply(created, json.Take()));
  });
}

void Application::Impl::CreateDevice(RoutedRequest request, ReplyFn reply) {
  const absl::StatusOr<JsonFields> fields =
      JsonFields::Parse(request.call.body, options_.max_body_bytes);
  if (!fields.ok()) return reply(MalformedReply(fields.status()));
  DeviceRecord record;
  record.at = parts_.clock->Now();
  record.seen = false;
  const absl::StatusOr<std::optional<std::string>> id = fields->Identity();
  if (!id.ok()) return reply(Failed(id.status()));
  if (!id->has_value()) return reply(ErrorReply(400, "Missing required field: device_id"));
  record.device_id = **id;
  const absl::Status status = ReadDevice(*fields, &record);
  if (!status.ok()) return reply(Failed(status));
  WriteDevice(std::move(record), "device_id", std::move(reply));
}

void Application::Impl::UpdateDevice(RoutedRequest request, ReplyFn reply) {
  ChangeDevice(std::move(request), ReadDevice, "device_id", std::move(reply));
}

void Application::Impl::ChangeDevice(RoutedRequest request, ReadDeviceFn read,
                                     std::string_view id_name, ReplyFn reply) {
  const absl::StatusOr<JsonFields> fields =
      JsonFields::Parse(request.call.body, options_.max_body_bytes);
  if (!fields.ok()) return reply(MalformedReply(fields.status()));
  DeviceRecord record;
  record.mode = DeviceRecord::Mode::kUpdate;
  record.at = parts_.clock->Now();
  record.seen = false;
  record.device_id = std::move(request.parameter);
  const absl::Status status = read(*fields, &record);
  if (!status.ok()) return reply(Failed(status));
  WriteDevice(std::move(record), id_name, std::move(reply));
}

}  // namespace viaduct
