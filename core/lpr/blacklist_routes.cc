// The plates that people look out for.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/json_fields.h"
#include "core/store/plate_key.h"

namespace viaduct {
namespace {

constexpr int kDefaultPlates = 50;
constexpr size_t kMaxReasonBytes = 1024;

}  // namespace

void Application::Impl::ListBlacklist(RoutedRequest request, ReplyFn reply) {
  int limit = kDefaultPlates;
  std::string cursor;
  const auto read = [&]() -> absl::Status {
    VD_ASSIGN_OR_RETURN(const QueryParams params, QueryParams::Parse(request.call.query));
    cursor = params.Text({"cursor"});
    VD_ASSIGN_OR_RETURN(limit, params.Int("limit", kDefaultPlates, 1, kMaxPageRows));
    return absl::OkStatus();
  };
  const absl::Status status = read();
  if (!status.ok()) return reply(Failed(status));
  const absl::StatusOr<BlacklistPage> page = parts_.store->ListBlacklist(limit, cursor);
  if (!page.ok()) return reply(Failed(page.status()));
  JsonWriter json;
  json.BeginObject().Field("success", true).Key("blacklist").BeginArray();
  for (const BlacklistRow& row : page->rows) {
    json.BeginObject().Field("license_plate", std::string_view(row.license_plate));
    json.Field("reason", std::string_view(row.reason)).Field("created_at", row.created_at);
    json.EndObject();
  }
  json.EndArray().Field("total_count", page->total);
  json.Field("returned_count", static_cast<int64_t>(page->rows.size())).Key("next_cursor");
  page->next_cursor.empty() ? json.Null() : json.String(page->next_cursor);
  json.EndObject();
  reply(JsonReply(200, json.Take()));
}

void Application::Impl::AddToBlacklist(RoutedRequest request, ReplyFn reply) {
  const absl::StatusOr<JsonFields> fields =
      JsonFields::Parse(request.call.body, options_.max_body_bytes);
  if (!fields.ok()) return reply(MalformedReply(fields.status()));
  BlacklistRecord record;
  const auto read = [&]() -> absl::Status {
    VD_ASSIGN_OR_RETURN(const auto plate,
                        fields->Text({"license_plate", "plate_number", "plate"}, kMaxPlateBytes));
    VD_ASSIGN_OR_RETURN(const auto reason, fields->Text({"reason"}, kMaxReasonBytes));
    if (!plate.has_value() || PlateKey(*plate).empty()) {
      return absl::InvalidArgumentError("Missing required field: license_plate");
    }
    record.license_plate = *plate;
    record.reason = reason.value_or("");
    return absl::OkStatus();
  };
  absl::Status status = read();
  if (status.ok()) status = PermitPlate(request.call, record.license_plate);
  if (!status.ok()) return reply(Failed(status));
  WriteBlacklist(std::move(record), std::move(reply));
}

void Application::Impl::RemoveFromBlacklist(RoutedRequest request, ReplyFn reply) {
  const absl::Status permitted = PermitPlate(request.call, request.parameter);
  if (!permitted.ok()) return reply(Failed(permitted));
  BlacklistRecord record;
  record.action = BlacklistRecord::Action::kRemove;
  record.license_plate = std::move(request.parameter);
  WriteBlacklist(std::move(record), std::move(reply));
}

void Application::Impl::WriteBlacklist(BlacklistRecord record, ReplyFn reply) {
  record.at = parts_.clock->Now();
  const bool adds = record.action == BlacklistRecord::Action::kAdd;
  std::vector<StoreRecord> records;
  records.emplace_back(std::move(record));
  parts_.store->Append(std::move(records), [this, adds, reply = std::move(reply)](
                                               std::vector<AppendResult> results) {
    const AppendResult& result = results.front();
    if (!result.status.ok()) return reply(Failed(result.status));
    JsonWriter json;
    json.BeginObject().Field("success", true).Field("license_plate", std::string_view(result.id));
    if (result.duplicate) json.Field("duplicate", true);
    json.EndObject();
    reply(JsonReply(adds && !result.duplicate ? 201 : 200, json.Take()));
  });
}

}  // namespace viaduct
