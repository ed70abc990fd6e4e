// What pages show of the roads of other nodes: what each has told of itself.
#include <algorithm>
#include <string>
#include <utility>

#include "core/base/status_macros.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/gateway_report.h"

namespace viaduct {
namespace {

constexpr int kDefaultNodes = 50;
constexpr int kMaxNodes = 200;
// A report that is older than so many of its intervals is old. Of one that names no interval of use
// the usual one counts.
constexpr double kOldIntervals = 3;
constexpr double kUsualIntervalSeconds = 60;
constexpr double kLeastIntervalSeconds = 10;

// By this node's clock: that of the other one may be wrong.
double AgeSeconds(const HealthRecord& record, absl::Time now) {
  return std::max(0.0, absl::ToDoubleSeconds(now - record.arrived_at));
}

void WriteNode(const HealthRecord& record, absl::Time now, JsonWriter* json) {
  const GatewayReport report = ReadGatewayPayload(record.payload_json);
  const double interval =
      report.interval_s < kLeastIntervalSeconds ? kUsualIntervalSeconds : report.interval_s;
  const double age = AgeSeconds(record, now);
  json->BeginObject().Field("node_id", std::string_view(record.camera_id));
  json->Field("status", std::string_view(record.status));
  json->Field("timestamp", record.captured_at).Field("created_at", record.arrived_at);
  json->Key("age_s").Real(age).Field("old", age > kOldIntervals * interval);
  json->Key("interval_s").Real(interval);
  WriteRoads(report, json);
  WriteFiles(report.files, json);
  json->EndObject();
}

}  // namespace

void Application::Impl::ListNodes(RoutedRequest request, ReplyFn reply) {
  GatewaysQuery query;
  const auto read = [&]() -> absl::Status {
    VD_ASSIGN_OR_RETURN(const QueryParams params, QueryParams::Parse(request.call.query));
    query.cursor = params.Text({"cursor"});
    VD_ASSIGN_OR_RETURN(query.limit, params.Int("limit", kDefaultNodes, 1, kMaxNodes));
    return absl::OkStatus();
  };
  const absl::Status status = read();
  if (!status.ok()) return reply(Failed(status));
  const absl::StatusOr<GatewayReports> page = ReportOf<GatewayReports>(parts_.store, query);
  if (!page.ok()) return reply(Failed(page.status()));
  const absl::Time now = parts_.clock->Now();
  JsonWriter json;
  json.BeginObject().Field("success", true).Key("nodes").BeginArray();
  for (const HealthRecord& record : page->rows) WriteNode(record, now, &json);
  json.EndArray().Key("next_cursor");
  page->next_cursor.empty() ? json.Null() : json.String(page->next_cursor);
  json.Field("timestamp", now).EndObject();
  reply(JsonReply(200, json.Take()));
}

}  // namespace viaduct
