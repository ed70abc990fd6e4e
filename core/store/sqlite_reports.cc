// Counts by hour and by camera, the health reports of one device, and those of all gateways.
#include <string>
#include <utility>

#include "core/store/sqlite_queries.h"
#include "core/store/sqlite_query_parts.h"

namespace viaduct {
namespace {

// All sources together are source 0; of one camera there are few.
constexpr char kHours[] =
    "SELECT hour, detections, plates FROM detection_hours WHERE source = 0 AND hour >= ? AND hour "
    "< ? ORDER BY hour";
constexpr char kHoursOfCamera[] =
    "SELECT hour, sum(h.detections), sum(plates) FROM detection_hours h WHERE source IN (SELECT "
    "s.id FROM sources s JOIN edge_devices e ON e.id = s.device WHERE e.device_id = ?3) AND hour "
    ">= ?1 AND hour < ?2 GROUP BY hour ORDER BY hour";
constexpr char kSources[] =
    "SELECT e.device_id, s.checkpoint_id, sum(h.detections), sum(h.plates) FROM sources s JOIN "
    "edge_devices e ON e.id = s.device JOIN detection_hours h ON h.source = s.id WHERE h.hour >= "
    "?1 AND h.hour < ?2 AND (?3 = '' OR e.device_id = ?3) GROUP BY s.id ORDER BY 3 DESC, 1, 2 "
    "LIMIT ?4";
// One look at health_reports_gateway for each device.
constexpr char kGateways[] =
    "SELECT h.id, h.message_id, e.device_id, h.checkpoint_id, h.protocol, h.captured_at, "
    "h.arrived_at, h.component, h.status, h.message, CASE WHEN length(CAST(h.payload AS BLOB)) <= "
    "?3 THEN h.payload ELSE '' END FROM edge_devices e JOIN health_reports h ON h.id = (SELECT "
    "g.id FROM health_reports g WHERE g.device = e.id AND g.component = 'gateway' ORDER BY g.id "
    "DESC LIMIT 1) WHERE e.device_id > ?1 ORDER BY e.device_id LIMIT ?2";

absl::StatusOr<StoreReport> Answer(SqliteDb* db, const HoursQuery& query) {
  const bool all = query.camera_id.empty();
  VD_ASSIGN_OR_RETURN(SqliteStatement statement, db->Prepare(all ? kHours : kHoursOfCamera));
  statement.Bind(1, query.from_hour);
  statement.Bind(2, query.to_hour);
  if (!all) statement.Bind(3, std::string_view(query.camera_id));
  HoursReport out;
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool more, statement.Next("cannot count by hour"));
    if (!more) return out;
    out.push_back({statement.Int(0), statement.Int(1), statement.Int(2)});
  }
}

absl::StatusOr<StoreReport> Answer(SqliteDb* db, const SourcesQuery& query) {
  VD_ASSIGN_OR_RETURN(SqliteStatement statement, db->Prepare(kSources));
  statement.Bind(1, query.from_hour);
  statement.Bind(2, query.to_hour);
  statement.Bind(3, std::string_view(query.camera_id));
  statement.Bind(4, int64_t{ClampLimit(query.limit)});
  SourcesReport out;
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool more, statement.Next("cannot count by camera"));
    if (!more) return out;
    out.push_back({statement.Text(0), statement.Text(1), statement.Int(2), statement.Int(3)});
  }
}

HealthRecord ReadHealth(const SqliteStatement& row) {
  HealthRecord r;
  r.message_id = row.Text(1);
  r.camera_id = row.Text(2);
  r.checkpoint_id = row.Text(3);
  r.protocol = row.Text(4);
  r.captured_at = TimeAt(row, 5);
  r.arrived_at = TimeAt(row, 6);
  r.component = row.Text(7);
  r.status = row.Text(8);
  r.message = row.Text(9);
  r.payload_json = row.Text(10);
  return r;
}

absl::StatusOr<StoreReport> Answer(SqliteDb* db, const HealthQuery& query) {
  Filter filter;
  filter.Add("h.device = (SELECT id FROM edge_devices WHERE device_id = ?)", query.device_id);
  if (!query.cursor.empty()) {
    VD_ASSIGN_OR_RETURN(const int64_t before, ParseCursor(query.cursor));
    filter.Add("h.id < ?", before);
  }
  const int limit = ClampLimit(query.limit);
  VD_ASSIGN_OR_RETURN(
      SqliteStatement statement,
      db->Prepare(absl::StrCat(
          "SELECT h.id, h.message_id, e.device_id, h.checkpoint_id, h.protocol, h.captured_at, "
          "h.arrived_at, h.component, h.status, h.message, h.payload FROM health_reports h JOIN "
          "edge_devices e ON e.id = h.device",
          filter.sql(), " ORDER BY h.id DESC LIMIT ", limit + 1)));
  filter.BindTo(&statement);
  HealthReports out;
  int64_t last = 0;
  size_t bytes = 0;
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool more, statement.Next("cannot read health reports"));
    if (!more) return out;
    if (out.rows.size() == static_cast<size_t>(limit) || bytes >= kMaxPageBytes) {
      out.next_cursor = absl::StrCat(last);
      return out;
    }
    last = statement.Int(0);
    out.rows.push_back(ReadHealth(statement));
    bytes += out.rows.back().payload_json.size();
  }
}

absl::StatusOr<StoreReport> Answer(SqliteDb* db, const GatewaysQuery& query) {
  const int limit = ClampLimit(query.limit);
  VD_ASSIGN_OR_RETURN(SqliteStatement statement, db->Prepare(kGateways));
  statement.Bind(1, std::string_view(query.cursor));
  statement.Bind(2, int64_t{limit} + 1);
  statement.Bind(3, static_cast<int64_t>(GatewaysQuery::kMaxPayloadBytes));
  GatewayReports out;
  size_t bytes = 0;
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool more, statement.Next("cannot read reports of gateways"));
    if (!more) return out;
    if (out.rows.size() == static_cast<size_t>(limit) || bytes >= kMaxPageBytes) {
      out.next_cursor = out.rows.back().camera_id;
      return out;
    }
    out.rows.push_back(ReadHealth(statement));
    bytes += out.rows.back().payload_json.size();
  }
}

absl::StatusOr<StoreReport> Answer(SqliteDb* db, const DetectionsQuery& query) {
  return QueryDetections(db, query);
}

}  // namespace

absl::StatusOr<StoreReport> QueryReport(SqliteDb* db, const ReportQuery& query) {
  return std::visit([db](const auto& one) { return Answer(db, one); }, query);
}

}  // namespace viaduct
