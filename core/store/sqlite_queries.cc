#include "core/store/sqlite_queries.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "core/store/sqlite_query_parts.h"

namespace viaduct {
namespace {

constexpr std::string_view kDeviceColumns =
    "SELECT device_id, checkpoint_id, name, hostname, ip_address, status, health_status, "
    "latitude, longitude, created_at, registered_at, last_seen, (SELECT "
    "coalesce(sum(detections), 0) FROM sources WHERE device = edge_devices.id) FROM edge_devices";
constexpr std::string_view kEventColumns =
    "SELECT event_id, edge_device_id, license_plate, confidence, image_path, metadata, "
    "captured_at, created_at, updated_at, id, detection, image_path IS NULL AND EXISTS (SELECT 1 "
    "FROM detections d JOIN file_transfers f ON f.message_key = d.message_key WHERE d.id = "
    "lpr_events.detection AND f.status = 'waiting' AND f.kind <> 'file') FROM lpr_events";

absl::StatusOr<int64_t> DailyValue(SqliteDb* db, std::string_view day, std::string_view name) {
  VD_ASSIGN_OR_RETURN(SqliteStatement statement,
                      db->Prepare("SELECT value FROM daily_counters WHERE day = ? AND name = ?"));
  statement.Bind(1, day);
  statement.Bind(2, name);
  VD_ASSIGN_OR_RETURN(const bool found, statement.Next("cannot read a daily counter"));
  return found ? statement.Int(0) : 0;
}

DeviceRow ReadDevice(const SqliteStatement& row) {
  DeviceRow out;
  out.device_id = row.Text(0);
  out.checkpoint_id = row.Text(1);
  out.name = row.Text(2);
  out.hostname = row.Text(3);
  out.ip_address = row.Text(4);
  out.status = row.Text(5);
  out.health_status = row.Text(6);
  out.latitude = RealAt(row, 7);
  out.longitude = RealAt(row, 8);
  out.created_at = TimeAt(row, 9);
  out.registered_at = TimeAt(row, 10);
  out.last_seen = TimeAt(row, 11);
  out.detection_count = row.Int(12);
  return out;
}

constexpr size_t kDetectionIdBytes = 36;

EventRow ReadEvent(const SqliteStatement& row) {
  EventRow out;
  out.event_id = row.Text(0);
  out.device_id = row.Text(1);
  out.license_plate = row.Text(2);
  out.confidence = RealAt(row, 3);
  out.image_path = row.Text(4);
  out.metadata_json = JsonAt(row, 5);
  out.captured_at = TimeAt(row, 6);
  out.created_at = TimeAt(row, 7);
  out.updated_at = TimeAt(row, 8);
  out.image_pending = row.Int(11) != 0;
  if (!row.IsNull(10)) out.detection_id = out.event_id.substr(0, kDetectionIdBytes);
  return out;
}

absl::StatusOr<Filter> EventsFilter(const EventsQuery& query) {
  Filter filter;
  if (!query.device_id.empty()) filter.Add("edge_device_id = ?", query.device_id);
  if (query.from.has_value()) filter.Add("captured_at >= ?", absl::ToUnixMillis(*query.from));
  if (query.to.has_value()) filter.Add("captured_at < ?", absl::ToUnixMillis(*query.to));
  if (!query.cursor.empty()) {
    VD_ASSIGN_OR_RETURN(const auto cursor, ParsePairCursor(query.cursor));
    filter.AddPair("(captured_at, id) < (?, ?)", cursor.first, cursor.second);
  }
  if (query.min_confidence.has_value()) filter.Add("confidence >= ?", *query.min_confidence);
  if (!query.plate.empty()) {
    filter.Add("license_plate LIKE ? ESCAPE '\\'", SubstringPattern(query.plate));
  }
  return filter;
}

}  // namespace

absl::StatusOr<StoreStatistics> QueryStatistics(SqliteDb* db, const StatisticsOptions& options) {
  StoreStatistics out;
  const std::string day = absl::FormatCivilTime(absl::ToCivilDay(options.now, options.zone));
  VD_ASSIGN_OR_RETURN(out.total_detections, CounterValue(db, "detections"));
  VD_ASSIGN_OR_RETURN(out.total_health_checks, CounterValue(db, "health_reports"));
  VD_ASSIGN_OR_RETURN(out.total_cameras, CounterValue(db, "devices"));
  VD_ASSIGN_OR_RETURN(out.unique_cameras, CounterValue(db, "cameras"));
  VD_ASSIGN_OR_RETURN(out.blacklist_count, CounterValue(db, "blacklist"));
  VD_ASSIGN_OR_RETURN(out.today_detections, DailyValue(db, day, "detections"));
  VD_ASSIGN_OR_RETURN(out.today_health_checks, DailyValue(db, day, "health_reports"));
  VD_ASSIGN_OR_RETURN(
      SqliteStatement statement,
      db->Prepare("SELECT coalesce(sum(last_seen >= ?), 0), max(last_seen) FROM edge_devices"));
  statement.Bind(1, absl::ToUnixMillis(options.now - options.active_window));
  VD_ASSIGN_OR_RETURN(const bool found, statement.Next("cannot count active cameras"));
  if (found) {
    out.active_cameras = statement.Int(0);
    out.last_update = TimeAt(statement, 1);
  }
  return out;
}

absl::StatusOr<DevicesPage> QueryDevices(SqliteDb* db, int limit, std::string_view cursor) {
  DevicesPage page;
  VD_ASSIGN_OR_RETURN(page.total, CounterValue(db, "devices"));
  const int wanted = ClampLimit(limit);
  VD_ASSIGN_OR_RETURN(
      SqliteStatement statement,
      db->Prepare(absl::StrCat(AbslView(kDeviceColumns),
                               " WHERE device_id > ? ORDER BY device_id LIMIT ", wanted + 1)));
  statement.Bind(1, cursor);
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool more, statement.Next("cannot read devices"));
    if (!more) return page;
    if (page.rows.size() == static_cast<size_t>(wanted)) {
      page.next_cursor = page.rows.back().device_id;
      return page;
    }
    page.rows.push_back(ReadDevice(statement));
  }
}

absl::StatusOr<std::vector<SilentDevice>> QuerySilent(SqliteDb* db, absl::Time since, int limit,
                                                      int64_t after) {
  VD_ASSIGN_OR_RETURN(
      SqliteStatement statement,
      db->Prepare("SELECT id, device_id, checkpoint_id, last_seen FROM edge_devices WHERE id > ? "
                  "AND status = 'online' AND last_seen < ? ORDER BY id LIMIT ?"));
  statement.Bind(1, after);
  statement.Bind(2, absl::ToUnixMillis(since));
  statement.Bind(3, int64_t{ClampLimit(limit)});
  std::vector<SilentDevice> silent;
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool more, statement.Next("cannot look for silent devices"));
    if (!more) return silent;
    silent.push_back(
        {statement.Int(0), statement.Text(1), statement.Text(2), TimeAt(statement, 3)});
  }
}

absl::StatusOr<DeviceRow> QueryDevice(SqliteDb* db, std::string_view device_id) {
  VD_ASSIGN_OR_RETURN(SqliteStatement statement,
                      db->Prepare(absl::StrCat(AbslView(kDeviceColumns), " WHERE device_id = ?")));
  statement.Bind(1, device_id);
  VD_ASSIGN_OR_RETURN(const bool found, statement.Next("cannot read a device"));
  if (found) return ReadDevice(statement);
  return absl::NotFoundError(absl::StrCat("device: unknown, \"", AbslView(device_id), "\""));
}

absl::StatusOr<EventsPage> QueryEvents(SqliteDb* db, const EventsQuery& query) {
  VD_ASSIGN_OR_RETURN(const Filter filter, EventsFilter(query));
  const int limit = ClampLimit(query.limit);
  VD_ASSIGN_OR_RETURN(
      SqliteStatement statement,
      db->Prepare(absl::StrCat(AbslView(kEventColumns), filter.sql(),
                               " ORDER BY captured_at DESC, id DESC LIMIT ", limit + 1)));
  filter.BindTo(&statement);
  EventsPage page;
  int64_t last_captured = 0;
  int64_t last_id = 0;
  size_t bytes = 0;
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool more, statement.Next("cannot read events"));
    if (!more) return page;
    if (page.rows.size() == static_cast<size_t>(limit) || bytes >= kMaxPageBytes) {
      page.next_cursor = absl::StrCat(last_captured, "_", last_id);
      return page;
    }
    last_captured = statement.Int(6);
    last_id = statement.Int(9);
    page.rows.push_back(ReadEvent(statement));
    bytes += page.rows.back().metadata_json.size();
  }
}

absl::StatusOr<EventRow> QueryEvent(SqliteDb* db, std::string_view event_id) {
  VD_ASSIGN_OR_RETURN(SqliteStatement statement,
                      db->Prepare(absl::StrCat(AbslView(kEventColumns), " WHERE event_id = ?")));
  statement.Bind(1, event_id);
  VD_ASSIGN_OR_RETURN(const bool found, statement.Next("cannot read an event"));
  if (found) return ReadEvent(statement);
  return absl::NotFoundError(absl::StrCat("event: unknown, \"", AbslView(event_id), "\""));
}

absl::StatusOr<CommunicationPage> QueryCommunication(SqliteDb* db,
                                                     const CommunicationQuery& query) {
  Filter filter;
  if (!query.protocol.empty()) filter.Add("protocol = ?", query.protocol);
  if (query.success.has_value()) filter.Add("success = ?", int64_t{*query.success ? 1 : 0});
  if (query.from.has_value()) filter.Add("created_at >= ?", absl::ToUnixMillis(*query.from));
  if (query.to.has_value()) filter.Add("created_at < ?", absl::ToUnixMillis(*query.to));
  if (!query.cursor.empty()) {
    VD_ASSIGN_OR_RETURN(const int64_t before, ParseCursor(query.cursor));
    filter.Add("id < ?", before);
  }
  const int limit = ClampLimit(query.limit);
  VD_ASSIGN_OR_RETURN(
      SqliteStatement statement,
      db->Prepare(absl::StrCat("SELECT id, protocol, source, destination, message_type, success, "
                               "latency_ms, error_message, created_at FROM communication_logs",
                               filter.sql(), " ORDER BY id DESC LIMIT ", limit + 1)));
  filter.BindTo(&statement);
  CommunicationPage page;
  int64_t last_id = 0;
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool more, statement.Next("cannot read the communication log"));
    if (!more) return page;
    if (page.rows.size() == static_cast<size_t>(limit)) {
      page.next_cursor = absl::StrCat(last_id);
      return page;
    }
    last_id = statement.Int(0);
    CommunicationRecord r;
    r.protocol = statement.Text(1);
    r.source = statement.Text(2);
    r.destination = statement.Text(3);
    r.message_type = statement.Text(4);
    r.success = statement.Int(5) != 0;
    r.latency_ms = statement.Real(6);
    r.error_message = statement.Text(7);
    r.at = TimeAt(statement, 8);
    page.rows.push_back(std::move(r));
  }
}

absl::StatusOr<BlacklistPage> QueryBlacklist(SqliteDb* db, int limit, std::string_view cursor) {
  BlacklistPage page;
  VD_ASSIGN_OR_RETURN(page.total, CounterValue(db, "blacklist"));
  const int wanted = ClampLimit(limit);
  VD_ASSIGN_OR_RETURN(
      SqliteStatement statement,
      db->Prepare(absl::StrCat("SELECT license_plate, reason, created_at FROM blacklist WHERE "
                               "license_plate > ? ORDER BY license_plate LIMIT ",
                               wanted + 1)));
  statement.Bind(1, cursor);
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool more, statement.Next("cannot read the blacklist"));
    if (!more) return page;
    if (page.rows.size() == static_cast<size_t>(wanted)) {
      page.next_cursor = page.rows.back().license_plate;
      return page;
    }
    page.rows.push_back(BlacklistRow{statement.Text(0), statement.Text(1), TimeAt(statement, 2)});
  }
}

absl::StatusOr<bool> QueryHasDetection(SqliteDb* db, const MessageKey& key) {
  VD_ASSIGN_OR_RETURN(SqliteStatement statement,
                      db->Prepare("SELECT 1 FROM detections WHERE message_key = ?"));
  statement.BindBlob(1, key.data(), key.size());
  return statement.Next("cannot look up a detection");
}

}  // namespace viaduct
