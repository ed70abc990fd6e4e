// What pages draw: counts over time and by camera, the health of a camera; and its place on a map.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/json_fields.h"
#include "core/message/identity.h"
#include "core/message/json_scanner.h"

namespace viaduct {
namespace {

constexpr int64_t kMaxPoints = 1'000;
constexpr int64_t kDefaultHours = 24;
constexpr int64_t kDefaultDays = 30;
constexpr int kDefaultHealth = 50;
constexpr double kMaxLatitude = 90;
constexpr double kMaxLongitude = 180;

absl::Time TimeOfHour(int64_t hour) { return absl::FromUnixSeconds(hour * 3600); }

// The hour that has begun by then, or `up`: the one that begins then or later.
int64_t HourOf(absl::Time time, bool up) {
  const absl::Duration since = time - absl::UnixEpoch();
  const absl::Duration whole =
      up ? absl::Ceil(since, absl::Hours(1)) : absl::Floor(since, absl::Hours(1));
  return whole / absl::Hours(1);
}

struct Span {
  absl::Time from;
  absl::Time to;
};

struct SeriesParams {
  std::string by;
  std::string camera_id;
  Span span;
};

absl::StatusOr<SeriesParams> ReadSeries(std::string_view text, absl::TimeZone zone,
                                        absl::Time now) {
  VD_ASSIGN_OR_RETURN(const QueryParams params, QueryParams::Parse(text));
  SeriesParams out;
  out.by = params.Text({"by"});
  if (out.by.empty()) out.by = "hour";
  if (out.by != "hour" && out.by != "day" && out.by != "camera") {
    return absl::InvalidArgumentError(
        absl::StrCat("by: expected hour, day or camera, got ", ShownText(out.by)));
  }
  out.camera_id = params.Identity();
  VD_ASSIGN_OR_RETURN(const auto from, params.Time("from", zone));
  VD_ASSIGN_OR_RETURN(const auto to, params.Time("to", zone));
  out.span.to = to.value_or(now);
  const absl::Duration usual = absl::Hours(out.by == "hour" ? kDefaultHours : kDefaultDays * 24);
  out.span.from = from.value_or(out.span.to - usual);
  const absl::Time bound = absl::FromUnixSeconds(int64_t{1} << 36);  // Beyond all calendars.
  if (out.span.from < absl::UnixEpoch() || out.span.to > bound || out.span.from > out.span.to) {
    return absl::InvalidArgumentError("from: not between 1970 and to");
  }
  return out;
}

absl::Status TooMany(std::string_view by) {
  return absl::InvalidArgumentError(
      absl::StrCat("from: more than ", kMaxPoints, " points by ", AbslView(by)));
}

void WritePoint(absl::Time start, const HourCounts& counts, JsonWriter* json) {
  json->BeginObject().Field("start", start).Field("detections", counts.detections);
  json->Field("plates", counts.plates).EndObject();
}

absl::StatusOr<HoursReport> Count(Store* store, const SeriesParams& params, Span span) {
  return ReportOf<HoursReport>(
      store, HoursQuery{params.camera_id, HourOf(span.from, false), HourOf(span.to, true)});
}

// Each hour of the span, also those in which nothing came.
absl::Status WriteHours(Store* store, const SeriesParams& params, JsonWriter* json) {
  const int64_t first = HourOf(params.span.from, false);
  const int64_t past = HourOf(params.span.to, true);
  if (past - first > kMaxPoints) return TooMany(params.by);
  VD_ASSIGN_OR_RETURN(const HoursReport report, Count(store, params, params.span));
  auto next = report.begin();
  for (int64_t hour = first; hour < past; ++hour) {
    const bool counted = next != report.end() && next->hour == hour;
    WritePoint(TimeOfHour(hour), counted ? *next++ : HourCounts(), json);
  }
  return absl::OkStatus();
}

// Each day of the span in `zone`; an hour belongs to the day in which it begins.
absl::Status WriteDays(Store* store, const SeriesParams& params, absl::TimeZone zone,
                       JsonWriter* json) {
  const absl::CivilDay first = absl::ToCivilDay(params.span.from, zone);
  absl::CivilDay past = absl::ToCivilDay(params.span.to, zone);
  if (absl::FromCivil(past, zone) < params.span.to) ++past;
  if (past - first > kMaxPoints) return TooMany(params.by);
  const Span whole{absl::FromCivil(first, zone), absl::FromCivil(past, zone)};
  VD_ASSIGN_OR_RETURN(const HoursReport report, Count(store, params, whole));
  auto next = report.begin();
  for (absl::CivilDay day = first; day < past; ++day) {
    HourCounts sum;
    for (; next != report.end() && absl::ToCivilDay(TimeOfHour(next->hour), zone) <= day; ++next) {
      if (absl::ToCivilDay(TimeOfHour(next->hour), zone) < day) continue;
      sum.detections += next->detections;
      sum.plates += next->plates;
    }
    WritePoint(absl::FromCivil(day, zone), sum, json);
  }
  return absl::OkStatus();
}

absl::Status WriteCameras(Store* store, const SeriesParams& params, JsonWriter* json) {
  SourcesQuery query;
  query.camera_id = params.camera_id;
  query.from_hour = HourOf(params.span.from, false);
  query.to_hour = HourOf(params.span.to, true);
  query.limit = kMaxPoints;
  VD_ASSIGN_OR_RETURN(const SourcesReport report, ReportOf<SourcesReport>(store, query));
  for (const SourceCounts& one : report) {
    json->BeginObject().Field("camera_id", std::string_view(one.camera_id));
    json->Field("checkpoint_id", std::string_view(one.checkpoint_id));
    json->Field("detections", one.detections).Field("plates", one.plates).EndObject();
  }
  return absl::OkStatus();
}

absl::Status ReadPlace(const JsonFields& fields, DeviceRecord* record) {
  VD_ASSIGN_OR_RETURN(record->name, fields.Text({"camera_name"}, kMaxNameBytes));
  VD_ASSIGN_OR_RETURN(record->latitude, fields.Number("latitude"));
  VD_ASSIGN_OR_RETURN(record->longitude, fields.Number("longitude"));
  const auto check = [](std::string_view name, const std::optional<double>& degrees, double most) {
    if (!degrees.has_value() || (*degrees >= -most && *degrees <= most)) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(AbslView(name), ": expected -", most, " to ", most, ", got ", *degrees));
  };
  VD_RETURN_IF_ERROR(check("latitude", record->latitude, kMaxLatitude));
  VD_RETURN_IF_ERROR(check("longitude", record->longitude, kMaxLongitude));
  if (record->name.has_value() || record->latitude.has_value() || record->longitude.has_value()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("nothing to change: camera_name, latitude or longitude");
}

}  // namespace

void Application::Impl::GetSeries(RoutedRequest request, ReplyFn reply) {
  const absl::StatusOr<SeriesParams> params =
      ReadSeries(request.call.query, options_.zone, parts_.clock->Now());
  if (!params.ok()) return reply(Failed(params.status()));
  JsonWriter json;
  json.BeginObject().Field("success", true).Field("by", std::string_view(params->by));
  json.Key("points").BeginArray();
  const absl::Status status = params->by == "hour" ? WriteHours(parts_.store, *params, &json)
                              : params->by == "day"
                                  ? WriteDays(parts_.store, *params, options_.zone, &json)
                                  : WriteCameras(parts_.store, *params, &json);
  if (!status.ok()) return reply(Failed(status));
  json.EndArray().EndObject();
  reply(JsonReply(200, json.Take()));
}

void Application::Impl::GetCameraHealth(RoutedRequest request, ReplyFn reply) {
  const absl::Status permitted = Permit(request.call, request.parameter);
  if (!permitted.ok()) return reply(Failed(permitted));
  HealthQuery query;
  query.device_id = request.parameter;
  const auto read = [&]() -> absl::Status {
    VD_ASSIGN_OR_RETURN(const QueryParams params, QueryParams::Parse(request.call.query));
    query.cursor = params.Text({"cursor"});
    VD_ASSIGN_OR_RETURN(query.limit, params.Int("limit", kDefaultHealth, 1, kMaxPageRows));
    return parts_.store->GetDevice(request.parameter).status();
  };
  const absl::Status status = read();
  if (!status.ok()) return reply(Failed(status));
  const absl::StatusOr<HealthReports> page = ReportOf<HealthReports>(parts_.store, query);
  if (!page.ok()) return reply(Failed(page.status()));
  JsonWriter json;
  json.BeginObject().Field("success", true).Key("health").BeginArray();
  for (const HealthRecord& r : page->rows) {
    json.BeginObject().Field("timestamp", r.captured_at).Field("created_at", r.arrived_at);
    json.Field("component", std::string_view(r.component));
    json.Field("status", std::string_view(r.status));
    json.Field("message", std::string_view(r.message));
    json.Key("data").Stored(r.payload_json).EndObject();
  }
  json.EndArray().Key("next_cursor");
  page->next_cursor.empty() ? json.Null() : json.String(page->next_cursor);
  json.EndObject();
  reply(JsonReply(200, json.Take()));
}

void Application::Impl::UpdateCamera(RoutedRequest request, ReplyFn reply) {
  ChangeDevice(std::move(request), ReadPlace, "camera_id", std::move(reply));
}

}  // namespace viaduct
