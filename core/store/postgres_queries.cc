#include "core/store/postgres_queries.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/store/page_cursor.h"
#include "core/store/plate_key.h"
#include "core/store/postgres_filter.h"
#include "core/store/postgres_indexes.h"

namespace viaduct {
namespace {

constexpr std::string_view kDeviceColumns =
    "SELECT device_id, checkpoint_id, name, hostname, ip_address, status, health_status, latitude, "
    "longitude, created_at, registered_at, last_seen, (SELECT coalesce(sum(detections), "
    "0)::bigint FROM sources WHERE device = edge_devices.id) FROM edge_devices";
constexpr std::string_view kEventColumns =
    "SELECT event_id, edge_device_id, license_plate, confidence, image_path, metadata::text, "
    "captured_at, created_at, updated_at, id, detection FROM lpr_events";
// A statement of its own: as a part of a page's it would have the planner read all events at once.
constexpr char kImagesAwaited[] =
    "SELECT DISTINCT d.id FROM detections d JOIN file_transfers f ON f.message_key = d.message_key "
    "WHERE d.id = ANY($1) AND f.status = 'waiting' AND f.kind <> 'file'";
constexpr size_t kDetectionIdBytes = 36;
// A part of a plate that is in fewer of the newest events than this is rare enough for all events
// that have it to be looked up in the index of parts and sorted.
constexpr int64_t kNewestEvents = 2'000;
constexpr int kRareEvents = 3;
constexpr int kIndexedLetters = 3;  // The index knows of no shorter part.

DeviceRow ReadDevice(const PgResult& rows, int row) {
  DeviceRow out;
  out.device_id = rows.Text(row, 0);
  out.checkpoint_id = rows.Text(row, 1);
  out.name = rows.Text(row, 2);
  out.hostname = rows.Text(row, 3);
  out.ip_address = rows.Text(row, 4);
  out.status = rows.Text(row, 5);
  out.health_status = rows.Text(row, 6);
  out.latitude = rows.Real(row, 7);
  out.longitude = rows.Real(row, 8);
  out.created_at = rows.Time(row, 9);
  out.registered_at = rows.Time(row, 10);
  out.last_seen = rows.Time(row, 11);
  out.detection_count = rows.Int(row, 12);
  return out;
}

EventRow ReadEvent(const PgResult& rows, int row) {
  EventRow out;
  out.event_id = rows.Text(row, 0);
  out.device_id = rows.Text(row, 1);
  out.license_plate = rows.Text(row, 2);
  out.confidence = rows.Real(row, 3);
  out.image_path = rows.Text(row, 4);
  out.metadata_json = rows.IsNull(row, 5) ? "{}" : CompactJson(rows.View(row, 5));
  out.captured_at = rows.Time(row, 6);
  out.created_at = rows.Time(row, 7);
  out.updated_at = rows.Time(row, 8);
  if (!rows.IsNull(row, 10)) out.detection_id = out.event_id.substr(0, kDetectionIdBytes);
  return out;
}

// All but the plate.
absl::StatusOr<PgFilter> EventsFilter(const EventsQuery& query) {
  PgFilter filter;
  if (!query.device_id.empty()) filter.Add("edge_device_id = ", query.device_id);
  if (query.from.has_value()) filter.Add("captured_at >= ", *query.from);
  if (query.to.has_value()) filter.Add("captured_at < ", *query.to);
  if (!query.cursor.empty()) {
    VD_ASSIGN_OR_RETURN(const auto cursor, ParsePairCursor(query.cursor));
    filter.AddPair("(captured_at, id) < ", absl::FromUnixMicros(cursor.first), cursor.second);
  }
  if (query.min_confidence.has_value()) filter.Add("confidence >= ", *query.min_confidence);
  return filter;
}

// A page ends where its metadata has reached kMaxPageBytes; the server counts, so that no reply is
// larger than that and one row.
std::string PageOfEvents(const std::string& from, int limit_parameter) {
  return absl::StrCat(
      "SELECT event_id, edge_device_id, license_plate, confidence, image_path, CASE WHEN total - "
      "octet_length(m) < ",
      kMaxPageBytes,
      " OR m IS NULL THEN m END, captured_at, created_at, updated_at, id, detection, coalesce(total"
      ", 0)::bigint FROM (SELECT *, sum(octet_length(m)) OVER (ORDER BY captured_at DESC, id DESC) "
      "AS total FROM (SELECT *, metadata::text AS m FROM ",
      from, " ORDER BY captured_at DESC, id DESC LIMIT $", limit_parameter,
      ") q) p ORDER BY captured_at DESC, id DESC");
}

// Has so many letters and digits in a row.
bool IsIndexed(std::string_view part) {
  int letters = 0;
  for (const char c : part) {
    const auto octet = static_cast<unsigned char>(c);
    if ((octet & 0xC0) == 0x80) continue;  // Not the first of its letter.
    letters = octet >= 0x80 || absl::ascii_isalnum(octet) ? letters + 1 : 0;
    if (letters >= kIndexedLetters) return true;
  }
  return false;
}

// The index of parts may need an extension that is not there, or be made just now.
absl::StatusOr<bool> HasIndexOfParts(PgConnection* db) {
  VD_ASSIGN_OR_RETURN(
      const PgResult row,
      db->Run("SELECT 1 FROM pg_index WHERE indexrelid = to_regclass($1) AND indisvalid",
              PgParams().Add(kPlateIndex), "cannot look for an index"));
  return row.rows() > 0;
}

// Where the part of a plate is common, the newest events have a page of it; where it is rare, the
// index of parts knows all of it (OFFSET 0 keeps the planner from walking by time instead). Without
// that index, and in between, all events are walked by time until the page is full.
absl::StatusOr<PgResult> FindEvents(PgConnection* db, const EventsQuery& query, int limit) {
  constexpr std::string_view kWhat = "cannot read events";
  VD_ASSIGN_OR_RETURN(PgFilter filter, EventsFilter(query));
  const auto run = [&](const std::string& from, PgParams params) {
    params.Add(int64_t{limit} + 1);
    return db->Run(PageOfEvents(from, params.size()), params, kWhat);
  };
  if (query.plate.empty()) return run(absl::StrCat("lpr_events", filter.sql()), filter.params());
  const std::string pattern = SubstringPattern(query.plate);
  PgParams newest = filter.params();
  newest.Add(kNewestEvents).Add(pattern);
  VD_ASSIGN_OR_RETURN(
      PgResult common,
      run(absl::StrCat("(SELECT * FROM lpr_events", filter.sql(),
                       " ORDER BY captured_at DESC, id DESC LIMIT $", newest.size() - 1,
                       ") newest WHERE license_plate ILIKE $", newest.size()),
          newest));
  if (common.rows() > limit) return common;
  filter.Add("license_plate ILIKE ", pattern);
  bool look_up = false;
  if (common.rows() < kRareEvents && IsIndexed(query.plate)) {
    VD_ASSIGN_OR_RETURN(look_up, HasIndexOfParts(db));
  }
  return run(look_up ? absl::StrCat("(SELECT * FROM lpr_events", filter.sql(), " OFFSET 0) found")
                     : absl::StrCat("lpr_events", filter.sql()),
             filter.params());
}

CommunicationRecord ReadCommunication(const PgResult& rows, int row) {
  CommunicationRecord r;
  r.protocol = rows.Text(row, 1);
  r.source = rows.Text(row, 2);
  r.destination = rows.Text(row, 3);
  r.message_type = rows.Text(row, 4);
  r.success = rows.Bool(row, 5);
  r.latency_ms = rows.Real(row, 6).value_or(0);
  r.error_message = rows.Text(row, 7);
  r.at = rows.Time(row, 8);
  return r;
}

}  // namespace

std::string CompactJson(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  bool quoted = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (quoted && c == '\\' && i + 1 < json.size()) {
      out.push_back(c);
      out.push_back(json[++i]);
      continue;
    }
    if (c == '"') quoted = !quoted;
    if (quoted || c != ' ') out.push_back(c);
  }
  return out;
}

absl::StatusOr<StoreStatistics> PgStatistics(PgConnection* db, absl::Time active_since,
                                             std::string_view day) {
  // Counters are a row per name and node, cameras a row each: no table of messages is counted.
  VD_ASSIGN_OR_RETURN(
      const PgResult rows,
      db->Run(
          "SELECT (SELECT sum(value)::bigint FROM counters WHERE name = 'detections'), (SELECT "
          "sum(value)::bigint FROM counters WHERE name = 'health_reports'), (SELECT "
          "sum(value)::bigint FROM counters WHERE name = 'blacklist'), (SELECT "
          "sum(value)::bigint FROM daily_counters WHERE day = $2 AND name = 'detections'), "
          "(SELECT sum(value)::bigint FROM daily_counters WHERE day = $2 AND name = "
          "'health_reports'), count(*), count(*) FILTER (WHERE has_detections), count(*) FILTER "
          "(WHERE last_seen >= $1), max(last_seen) FROM edge_devices",
          PgParams().Add(active_since).Add(day), "cannot read the statistics"));
  StoreStatistics out;
  out.total_detections = rows.Int(0, 0);
  out.total_health_checks = rows.Int(0, 1);
  out.blacklist_count = rows.Int(0, 2);
  out.today_detections = rows.Int(0, 3);
  out.today_health_checks = rows.Int(0, 4);
  out.total_cameras = rows.Int(0, 5);
  out.unique_cameras = rows.Int(0, 6);
  out.active_cameras = rows.Int(0, 7);
  out.last_update = rows.Time(0, 8);
  return out;
}

absl::StatusOr<DevicesPage> PgDevices(PgConnection* db, int limit, std::string_view cursor) {
  const int wanted = ClampLimit(limit);
  DevicesPage page;
  VD_ASSIGN_OR_RETURN(page.total, db->QueryInt("SELECT count(*) FROM edge_devices"));
  VD_ASSIGN_OR_RETURN(
      const PgResult rows,
      db->Run(absl::StrCat(AbslView(kDeviceColumns),
                           " WHERE device_id > $1 ORDER BY device_id LIMIT $2"),
              PgParams().Add(cursor).Add(int64_t{wanted} + 1), "cannot read devices"));
  for (int row = 0; row < std::min(rows.rows(), wanted); ++row) {
    page.rows.push_back(ReadDevice(rows, row));
  }
  if (rows.rows() > wanted) page.next_cursor = page.rows.back().device_id;
  return page;
}

absl::StatusOr<std::vector<SilentDevice>> PgSilent(PgConnection* db, absl::Time since, int limit,
                                                   int64_t after) {
  VD_ASSIGN_OR_RETURN(
      const PgResult rows,
      db->Run("SELECT id, device_id, checkpoint_id, last_seen FROM edge_devices WHERE id > $1 AND "
              "status = 'online' AND last_seen < $2 ORDER BY id LIMIT $3",
              PgParams().Add(after).Add(since).Add(int64_t{ClampLimit(limit)}),
              "cannot look for silent devices"));
  std::vector<SilentDevice> silent;
  for (int row = 0; row < rows.rows(); ++row) {
    silent.push_back({rows.Int(row, 0), rows.Text(row, 1), rows.Text(row, 2), rows.Time(row, 3)});
  }
  return silent;
}

absl::StatusOr<DeviceRow> PgDevice(PgConnection* db, std::string_view device_id) {
  VD_ASSIGN_OR_RETURN(const PgResult rows,
                      db->Run(absl::StrCat(AbslView(kDeviceColumns), " WHERE device_id = $1"),
                              PgParams().Add(device_id), "cannot read a device"));
  if (rows.rows() > 0) return ReadDevice(rows, 0);
  return absl::NotFoundError(absl::StrCat("device: unknown, \"", AbslView(device_id), "\""));
}

namespace {

// Says of those events without an image whose detection awaits a file with one; `events` are the
// first of `rows`.
absl::Status MarkAwaitedImages(PgConnection* db, const PgResult& rows,
                               std::vector<EventRow>* events) {
  std::multimap<int64_t, EventRow*> bare;
  PgArray detections(PgType::kInt8);
  for (int row = 0; row < static_cast<int>(events->size()); ++row) {
    if (!rows.IsNull(row, 4) || rows.IsNull(row, 10)) continue;
    bare.emplace(rows.Int(row, 10), &(*events)[row]);
    detections.Add(rows.Int(row, 10));
  }
  if (bare.empty()) return absl::OkStatus();
  VD_ASSIGN_OR_RETURN(const PgResult awaited, db->Run(kImagesAwaited, PgParams().Add(detections),
                                                      "cannot look for images that are awaited"));
  for (int row = 0; row < awaited.rows(); ++row) {
    const auto [first, last] = bare.equal_range(awaited.Int(row, 0));
    for (auto event = first; event != last; ++event) event->second->image_pending = true;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<EventsPage> PgEvents(PgConnection* db, const EventsQuery& query) {
  const int limit = ClampLimit(query.limit);
  VD_ASSIGN_OR_RETURN(const PgResult rows, FindEvents(db, query, limit));
  EventsPage page;
  int64_t bytes = 0;  // Of the rows that are on the page.
  for (int row = 0; row < rows.rows(); ++row) {
    if (row == limit || bytes >= static_cast<int64_t>(kMaxPageBytes)) {
      page.next_cursor =
          absl::StrCat(absl::ToUnixMicros(rows.Time(row - 1, 6)), "_", rows.Int(row - 1, 9));
      break;
    }
    page.rows.push_back(ReadEvent(rows, row));
    bytes = rows.Int(row, 11);
  }
  VD_RETURN_IF_ERROR(MarkAwaitedImages(db, rows, &page.rows));
  return page;
}

absl::StatusOr<EventRow> PgEvent(PgConnection* db, std::string_view event_id) {
  VD_ASSIGN_OR_RETURN(const PgResult rows,
                      db->Run(absl::StrCat(AbslView(kEventColumns), " WHERE event_id = $1"),
                              PgParams().Add(event_id), "cannot read an event"));
  if (rows.rows() == 0) {
    return absl::NotFoundError(absl::StrCat("event: unknown, \"", AbslView(event_id), "\""));
  }
  std::vector<EventRow> events = {ReadEvent(rows, 0)};
  VD_RETURN_IF_ERROR(MarkAwaitedImages(db, rows, &events));
  return std::move(events.front());
}

absl::StatusOr<CommunicationPage> PgCommunication(PgConnection* db,
                                                  const CommunicationQuery& query) {
  PgFilter filter;
  if (!query.protocol.empty()) filter.Add("protocol = ", query.protocol);
  if (query.success.has_value()) filter.Add("success = ", *query.success);
  if (query.from.has_value()) filter.Add("created_at >= ", *query.from);
  if (query.to.has_value()) filter.Add("created_at < ", *query.to);
  if (!query.cursor.empty()) {
    VD_ASSIGN_OR_RETURN(const int64_t before, ParseCursor(query.cursor));
    filter.Add("id < ", before);
  }
  const int limit = ClampLimit(query.limit);
  const PgParams params = PgParams(filter.params()).Add(int64_t{limit} + 1);
  VD_ASSIGN_OR_RETURN(
      const PgResult rows,
      db->Run(absl::StrCat("SELECT id, protocol, source, destination, message_type, success, "
                           "latency_ms, error_message, created_at FROM communication_logs",
                           filter.sql(), " ORDER BY id DESC LIMIT $", params.size()),
              params, "cannot read the communication log"));
  CommunicationPage page;
  for (int row = 0; row < std::min(rows.rows(), limit); ++row) {
    page.rows.push_back(ReadCommunication(rows, row));
  }
  if (rows.rows() > limit) page.next_cursor = absl::StrCat(rows.Int(limit - 1, 0));
  return page;
}

absl::StatusOr<BlacklistPage> PgBlacklist(PgConnection* db, int limit, std::string_view cursor) {
  const int wanted = ClampLimit(limit);
  BlacklistPage page;
  VD_ASSIGN_OR_RETURN(
      page.total, db->QueryInt("SELECT coalesce(sum(value), 0)::bigint FROM counters WHERE name "
                               "= 'blacklist'"));
  VD_ASSIGN_OR_RETURN(
      const PgResult rows,
      db->Run("SELECT license_plate, reason, created_at FROM blacklist WHERE license_plate > $1 "
              "ORDER BY license_plate LIMIT $2",
              PgParams().Add(cursor).Add(int64_t{wanted} + 1), "cannot read the blacklist"));
  for (int row = 0; row < std::min(rows.rows(), wanted); ++row) {
    page.rows.push_back(BlacklistRow{rows.Text(row, 0), rows.Text(row, 1), rows.Time(row, 2)});
  }
  if (rows.rows() > wanted) page.next_cursor = page.rows.back().license_plate;
  return page;
}

absl::StatusOr<PgBlacklistMatcher> PgBlacklistMatcher::Ask(
    PgConnection* db, const std::vector<const DetectionRecord*>& detections) {
  PgBlacklistMatcher out;
  PgArray keys(PgType::kText);
  for (const DetectionRecord* detection : detections) {
    for (const PlateRead& plate : detection->plates) keys.Add(PlateKey(plate.text));
  }
  if (keys.size() == 0) return out;
  VD_ASSIGN_OR_RETURN(
      const PgResult rows,
      db->Run("SELECT license_plate, reason FROM blacklist WHERE license_plate = ANY($1)",
              PgParams().Add(keys), "cannot read the blacklist"));
  for (int row = 0; row < rows.rows(); ++row) {
    out.reasons_.emplace(rows.View(row, 0), rows.View(row, 1));
  }
  return out;
}

std::vector<PlateAlert> PgBlacklistMatcher::AlertsOf(const DetectionRecord& detection) const {
  std::vector<PlateAlert> alerts;
  for (const PlateRead& plate : detection.plates) {
    const auto listed = reasons_.find(PlateKey(plate.text));
    if (listed != reasons_.end()) alerts.push_back(PlateAlert{plate.text, listed->second});
  }
  return alerts;
}

absl::StatusOr<bool> PgHasDetection(PgConnection* db, const MessageKey& key) {
  VD_ASSIGN_OR_RETURN(const PgResult rows,
                      db->Run("SELECT 1 FROM detections WHERE message_key = $1",
                              PgParams().Add(key), "cannot look up a detection"));
  return rows.rows() > 0;
}

}  // namespace viaduct
