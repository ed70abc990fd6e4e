// Counts by hour and by camera, the health reports of one device, and those of all gateways.
#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/store/page_cursor.h"
#include "core/store/postgres_filter.h"
#include "core/store/postgres_queries.h"

namespace viaduct {
namespace {

// All sources together are source 0; of one camera there are few. Each node has rows of its own.
constexpr std::string_view kHours =
    "SELECT hour, sum(detections)::bigint, sum(plates)::bigint FROM detection_hours WHERE source = "
    "0 AND hour >= $1 AND hour < $2 GROUP BY hour HAVING sum(detections) > 0 ORDER BY hour";
constexpr std::string_view kHoursOfCamera =
    "SELECT hour, sum(detections)::bigint, sum(plates)::bigint FROM detection_hours WHERE source = "
    "ANY (SELECT s.id FROM sources s JOIN edge_devices e ON e.id = s.device WHERE e.device_id = "
    "$3) AND hour >= $1 AND hour < $2 GROUP BY hour HAVING sum(detections) > 0 ORDER BY hour";
constexpr std::string_view kSources =
    "SELECT e.device_id, s.checkpoint_id, sum(h.detections)::bigint AS n, sum(h.plates)::bigint "
    "FROM sources s JOIN edge_devices e ON e.id = s.device JOIN detection_hours h ON h.source = "
    "s.id WHERE h.hour >= $1 AND h.hour < $2 AND ($3 = '' OR e.device_id = $3) GROUP BY s.id, "
    "e.device_id HAVING sum(h.detections) > 0 ORDER BY n DESC, e.device_id, s.checkpoint_id LIMIT "
    "$4";
// One look at health_reports_gateway for each device.
constexpr std::string_view kGateways =
    "SELECT h.id, h.message_id, e.device_id, h.checkpoint_id, h.protocol, h.captured_at, "
    "h.arrived_at, h.component, h.status, h.message, CASE WHEN octet_length(h.payload) <= $3 THEN "
    "h.payload ELSE '' END FROM edge_devices e CROSS JOIN LATERAL (SELECT * FROM health_reports g "
    "WHERE g.device = e.id AND g.component = 'gateway' ORDER BY g.id DESC LIMIT 1) h WHERE "
    "e.device_id > $1 ORDER BY e.device_id LIMIT $2";

absl::StatusOr<StoreReport> Answer(PgConnection* db, const HoursQuery& query) {
  PgParams params = PgParams().Add(query.from_hour).Add(query.to_hour);
  if (!query.camera_id.empty()) params.Add(query.camera_id);
  VD_ASSIGN_OR_RETURN(
      const PgResult rows,
      db->Run(query.camera_id.empty() ? kHours : kHoursOfCamera, params, "cannot count by hour"));
  HoursReport out;
  for (int row = 0; row < rows.rows(); ++row) {
    out.push_back({rows.Int(row, 0), rows.Int(row, 1), rows.Int(row, 2)});
  }
  return out;
}

absl::StatusOr<StoreReport> Answer(PgConnection* db, const SourcesQuery& query) {
  VD_ASSIGN_OR_RETURN(const PgResult rows, db->Run(kSources,
                                                   PgParams()
                                                       .Add(query.from_hour)
                                                       .Add(query.to_hour)
                                                       .Add(query.camera_id)
                                                       .Add(int64_t{ClampLimit(query.limit)}),
                                                   "cannot count by camera"));
  SourcesReport out;
  for (int row = 0; row < rows.rows(); ++row) {
    out.push_back({rows.Text(row, 0), rows.Text(row, 1), rows.Int(row, 2), rows.Int(row, 3)});
  }
  return out;
}

HealthRecord ReadHealth(const PgResult& rows, int row) {
  HealthRecord r;
  r.message_id = rows.Text(row, 1);
  r.camera_id = rows.Text(row, 2);
  r.checkpoint_id = rows.Text(row, 3);
  r.protocol = rows.Text(row, 4);
  r.captured_at = rows.Time(row, 5);
  r.arrived_at = rows.Time(row, 6);
  r.component = rows.Text(row, 7);
  r.status = rows.Text(row, 8);
  r.message = rows.Text(row, 9);
  r.payload_json = rows.Text(row, 10);
  return r;
}

// The server counts, so that no reply is larger than a page and one row.
absl::StatusOr<StoreReport> Answer(PgConnection* db, const HealthQuery& query) {
  PgFilter filter;
  filter.Add("e.device_id = ", query.device_id);
  if (!query.cursor.empty()) {
    VD_ASSIGN_OR_RETURN(const int64_t before, ParseCursor(query.cursor));
    filter.Add("h.id < ", before);
  }
  const int limit = ClampLimit(query.limit);
  VD_ASSIGN_OR_RETURN(
      const PgResult rows,
      db->Run(
          absl::StrCat(
              "SELECT * FROM (SELECT *, sum(octet_length(payload)) OVER (ORDER BY id DESC) - "
              "octet_length(payload) AS before FROM (SELECT h.id, h.message_id, e.device_id, "
              "h.checkpoint_id, h.protocol, h.captured_at, h.arrived_at, h.component, h.status, "
              "h.message, h.payload FROM health_reports h JOIN edge_devices e ON e.id = h.device",
              filter.sql(), " ORDER BY h.id DESC LIMIT ", limit + 1, ") p) q WHERE before < ",
              kMaxPageBytes, " ORDER BY id DESC"),
          filter.params(), "cannot read health reports"));
  HealthReports out;
  const int shown = std::min(rows.rows(), limit);
  for (int row = 0; row < shown; ++row) out.rows.push_back(ReadHealth(rows, row));
  // A page that is full of octets may be the last one; the next is empty then.
  size_t bytes = 0;
  for (const HealthRecord& r : out.rows) bytes += r.payload_json.size();
  if (shown > 0 && (rows.rows() > limit || bytes >= kMaxPageBytes)) {
    out.next_cursor = absl::StrCat(rows.Int(shown - 1, 0));
  }
  return out;
}

absl::StatusOr<StoreReport> Answer(PgConnection* db, const GatewaysQuery& query) {
  constexpr auto kMaxPayload = static_cast<int64_t>(GatewaysQuery::kMaxPayloadBytes);
  // Of so many rows, so that no reply is larger than a page and one row.
  constexpr auto kMostRows = static_cast<int>(kMaxPageBytes / GatewaysQuery::kMaxPayloadBytes);
  const int limit = std::min(ClampLimit(query.limit), kMostRows);
  VD_ASSIGN_OR_RETURN(
      const PgResult rows,
      db->Run(kGateways, PgParams().Add(query.cursor).Add(int64_t{limit} + 1).Add(kMaxPayload),
              "cannot read reports of gateways"));
  GatewayReports out;
  const int shown = std::min(rows.rows(), limit);
  for (int row = 0; row < shown; ++row) out.rows.push_back(ReadHealth(rows, row));
  if (rows.rows() > limit) out.next_cursor = out.rows.back().camera_id;
  return out;
}

absl::StatusOr<StoreReport> Answer(PgConnection* db, const DetectionsQuery& query) {
  return PgDetections(db, query);
}

}  // namespace

absl::StatusOr<StoreReport> PgReport(PgConnection* db, const ReportQuery& query) {
  return std::visit([db](const auto& one) { return Answer(db, one); }, query);
}

}  // namespace viaduct
