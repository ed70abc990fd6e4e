#include "core/store/sqlite_queries.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <queue>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/civil_time.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

// More sources than this match so much of the table that walking it backwards finds them soon.
constexpr size_t kMaxMergedSources = 64;
// A page that begins deeper in the lists than this is found by walking, too.
constexpr int kMaxSkippedRows = 100'000;
constexpr int kPreviousColumn = 15;

constexpr std::string_view kDetectionColumns =
    "d.id, d.message_key, d.message_id, e.device_id, s.checkpoint_id, d.protocol, d.captured_at, "
    "d.arrived_at, d.vehicles_count, d.plates_count, d.image_path, d.plate_images, d.note, "
    "d.metadata, d.payload, d.previous FROM detections d JOIN sources s ON s.id = d.source JOIN "
    "edge_devices "
    "e ON e.id = s.device";
constexpr std::string_view kDeviceColumns =
    "SELECT device_id, checkpoint_id, name, hostname, ip_address, status, health_status, "
    "latitude, longitude, created_at, registered_at, last_seen, (SELECT "
    "coalesce(sum(detections), 0) FROM sources WHERE device = edge_devices.id) FROM edge_devices";
constexpr std::string_view kEventColumns =
    "SELECT event_id, edge_device_id, license_plate, confidence, image_path, metadata, "
    "captured_at, created_at, updated_at, id, detection FROM lpr_events";

absl::Time TimeAt(const SqliteStatement& row, int column) {
  return row.IsNull(column) ? absl::InfinitePast() : absl::FromUnixMillis(row.Int(column));
}

std::optional<double> RealAt(const SqliteStatement& row, int column) {
  return row.IsNull(column) ? std::nullopt : std::optional<double>(row.Real(column));
}

std::string JsonAt(const SqliteStatement& row, int column) {
  return row.IsNull(column) ? "{}" : row.Text(column);
}

int ClampLimit(int limit) { return std::clamp(limit, 1, kMaxPageRows); }

// A WHERE clause whose values are bound, never pasted.
class Filter {
 public:
  using Value = std::variant<int64_t, double, std::string>;

  void Add(std::string_view condition, Value value) {
    absl::StrAppend(&sql_, sql_.empty() ? " WHERE " : " AND ", AbslView(condition));
    values_.push_back(std::move(value));
  }
  void AddPair(std::string_view condition, int64_t first, int64_t second) {
    Add(condition, first);
    values_.emplace_back(second);
  }
  const std::string& sql() const { return sql_; }
  void BindTo(SqliteStatement* statement) const {
    int index = 0;
    for (const Value& value : values_) {
      ++index;
      if (const auto* text = std::get_if<std::string>(&value)) {
        statement->Bind(index, std::string_view(*text));
      } else if (const auto* real = std::get_if<double>(&value)) {
        statement->Bind(index, *real);
      } else {
        statement->Bind(index, std::get<int64_t>(value));
      }
    }
  }

 private:
  std::string sql_;
  std::vector<Value> values_;
};

absl::StatusOr<std::pair<int64_t, int64_t>> ParsePairCursor(std::string_view cursor) {
  const std::vector<absl::string_view> parts = absl::StrSplit(AbslView(cursor), '_');
  std::pair<int64_t, int64_t> pair;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &pair.first) ||
      !absl::SimpleAtoi(parts[1], &pair.second)) {
    return absl::InvalidArgumentError("cursor: not one of ours");
  }
  return pair;
}

DetectionRow ReadDetection(const SqliteStatement& row) {
  DetectionRow out;
  DetectionRecord& r = out.record;
  const std::string_view key = row.View(1);
  if (key.size() == r.key.size()) std::memcpy(r.key.data(), key.data(), key.size());
  out.detection_id = FormatKey(r.key);
  r.message_id = row.Text(2);
  r.camera_id = row.Text(3);
  r.checkpoint_id = row.Text(4);
  r.protocol = row.Text(5);
  r.captured_at = TimeAt(row, 6);
  r.arrived_at = TimeAt(row, 7);
  r.vehicles_count = static_cast<int32_t>(row.Int(8));
  r.plates_count = static_cast<int32_t>(row.Int(9));
  r.image_path = row.Text(10);
  if (!row.IsNull(11)) {
    std::vector<std::string> paths = absl::StrSplit(AbslView(row.View(11)), '\n');
    paths.pop_back();  // After the last line's end.
    r.plate_images = std::move(paths);
  }
  r.note = row.Text(12);
  r.metadata_json = JsonAt(row, 13);
  r.payload_json = row.Text(14);
  return out;
}

// The lpr_events of a detection are found by the beginning of their id.
absl::Status ReadPlates(SqliteStatement* statement, DetectionRow* row) {
  const StatementScope scope(statement);
  const std::string first = absl::StrCat(row->detection_id, "-");
  const std::string past = absl::StrCat(row->detection_id, ".");  // '.' follows '-'.
  statement->Bind(1, std::string_view(first));
  statement->Bind(2, std::string_view(past));
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool more, statement->Next("cannot read plates"));
    if (!more) return absl::OkStatus();
    if (statement->IsNull(0)) continue;
    PlateRead plate;
    plate.text = statement->Text(0);
    plate.confidence = RealAt(*statement, 1);
    plate.metadata_json = JsonAt(*statement, 2);
    plate.image_path = statement->Text(3);
    row->record.plates.push_back(std::move(plate));
  }
}

struct KeyedDetection {
  int64_t id;  // Row number, the order of arrival.
  DetectionRow row;
};

struct SourceRef {
  int64_t id = 0;
  int64_t newest = 0;  // Row number of its newest detection; 0: none.
};

struct MatchingSources {
  std::vector<SourceRef> sources;
  int64_t detections = 0;
};

absl::StatusOr<MatchingSources> FindSources(SqliteDb* db, const RecordsQuery& query) {
  Filter filter;
  if (!query.camera_id.empty()) filter.Add("e.device_id = ?", query.camera_id);
  if (!query.checkpoint_id.empty()) filter.Add("s.checkpoint_id = ?", query.checkpoint_id);
  VD_ASSIGN_OR_RETURN(
      SqliteStatement statement,
      db->Prepare(absl::StrCat("SELECT s.id, s.newest, s.detections FROM sources s JOIN "
                               "edge_devices e ON e.id = s.device",
                               filter.sql())));
  filter.BindTo(&statement);
  MatchingSources out;
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool more, statement.Next("cannot find sources"));
    if (!more) return out;
    out.sources.push_back(SourceRef{statement.Int(0), statement.Int(1)});
    out.detections += statement.Int(2);
  }
}

absl::StatusOr<int64_t> CounterValue(SqliteDb* db, std::string_view name) {
  VD_ASSIGN_OR_RETURN(SqliteStatement statement,
                      db->Prepare("SELECT value FROM counters WHERE name = ?"));
  statement.Bind(1, name);
  VD_ASSIGN_OR_RETURN(const bool found, statement.Next("cannot read a counter"));
  return found ? statement.Int(0) : 0;
}

absl::StatusOr<int64_t> DailyValue(SqliteDb* db, std::string_view day, std::string_view name) {
  VD_ASSIGN_OR_RETURN(SqliteStatement statement,
                      db->Prepare("SELECT value FROM daily_counters WHERE day = ? AND name = ?"));
  statement.Bind(1, day);
  statement.Bind(2, name);
  VD_ASSIGN_OR_RETURN(const bool found, statement.Next("cannot read a daily counter"));
  return found ? statement.Int(0) : 0;
}

// Follows the lists of a few sources (sources.newest, then detections.previous), always taking the
// newest head, until `limit` rows below `before` are there. *complete is false when a list is
// broken (rows lost with a damaged file) or the start lies too deep in it.
absl::Status ReadByLists(SqliteDb* db, const MatchingSources& matching, int64_t before, int limit,
                         std::vector<KeyedDetection>* rows, bool* complete) {
  VD_ASSIGN_OR_RETURN(
      SqliteStatement row,
      db->Prepare(absl::StrCat("SELECT ", AbslView(kDetectionColumns), " WHERE d.id = ?")));
  VD_ASSIGN_OR_RETURN(SqliteStatement skip,
                      db->Prepare("SELECT previous FROM detections WHERE id = ?"));
  std::priority_queue<int64_t> heads;
  for (const SourceRef& source : matching.sources) {
    if (source.newest != 0) heads.push(source.newest);
  }
  *complete = false;
  int steps = 0;
  while (!heads.empty() && rows->size() < static_cast<size_t>(limit)) {
    const int64_t id = heads.top();
    heads.pop();
    const bool wanted = id < before;
    if (!wanted && ++steps > kMaxSkippedRows) return absl::OkStatus();
    SqliteStatement* const statement = wanted ? &row : &skip;
    const StatementScope scope(statement);
    statement->Bind(1, id);
    VD_ASSIGN_OR_RETURN(const bool found, statement->Next("cannot read a detection"));
    if (!found) return absl::OkStatus();
    if (wanted) rows->push_back(KeyedDetection{id, ReadDetection(*statement)});
    const int64_t previous = statement->Int(wanted ? kPreviousColumn : 0);
    if (previous != 0 && previous < id) heads.push(previous);
  }
  *complete = true;
  return absl::OkStatus();
}

// From the end of the table; the deadline of the connection bounds it.
absl::Status ReadByWalking(SqliteDb* db, const RecordsQuery& query, int64_t before, int limit,
                           std::vector<KeyedDetection>* rows) {
  Filter filter;
  filter.Add("d.id < ?", before);
  if (!query.camera_id.empty()) {
    filter.Add(
        "d.source IN (SELECT id FROM sources WHERE device = (SELECT id FROM edge_devices WHERE "
        "device_id = ?))",
        query.camera_id);
  }
  if (!query.checkpoint_id.empty()) {
    filter.Add("d.source IN (SELECT id FROM sources WHERE checkpoint_id = ?)", query.checkpoint_id);
  }
  VD_ASSIGN_OR_RETURN(SqliteStatement statement,
                      db->Prepare(absl::StrCat("SELECT ", AbslView(kDetectionColumns), filter.sql(),
                                               " ORDER BY d.id DESC LIMIT ", limit)));
  filter.BindTo(&statement);
  const StatementScope scope(&statement);
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool more, statement.Next("cannot read detections"));
    if (!more) return absl::OkStatus();
    rows->push_back(KeyedDetection{statement.Int(0), ReadDetection(statement)});
  }
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
  if (!row.IsNull(10)) out.detection_id = out.event_id.substr(0, kDetectionIdBytes);
  return out;
}

// For LIKE ... ESCAPE '\'.
std::string SubstringPattern(std::string_view text) {
  std::string out = "%";
  for (const char c : text) {
    if (c == '%' || c == '_' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + "%";
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

absl::StatusOr<RecordsPage> QueryRecords(SqliteDb* db, const RecordsQuery& query) {
  const int limit = ClampLimit(query.limit);
  RecordsPage page;
  int64_t before = std::numeric_limits<int64_t>::max();
  if (!query.cursor.empty() && !absl::SimpleAtoi(query.cursor, &before)) {
    return absl::InvalidArgumentError("cursor: not one of ours");
  }
  std::vector<KeyedDetection> rows;  // One more than asked for, to know whether there are more.
  if (query.camera_id.empty() && query.checkpoint_id.empty()) {
    VD_ASSIGN_OR_RETURN(page.total, CounterValue(db, "detections"));
    VD_RETURN_IF_ERROR(ReadByWalking(db, query, before, limit + 1, &rows));
  } else {
    VD_ASSIGN_OR_RETURN(const MatchingSources sources, FindSources(db, query));
    page.total = sources.detections;
    bool complete = false;
    if (sources.sources.size() <= kMaxMergedSources) {
      VD_RETURN_IF_ERROR(ReadByLists(db, sources, before, limit + 1, &rows, &complete));
    }
    if (!complete) {
      rows.clear();
      VD_RETURN_IF_ERROR(ReadByWalking(db, query, before, limit + 1, &rows));
    }
  }
  if (rows.size() > static_cast<size_t>(limit)) {
    rows.pop_back();
    page.next_cursor = absl::StrCat(rows.back().id);
  }
  for (KeyedDetection& row : rows) page.rows.push_back(std::move(row.row));
  VD_ASSIGN_OR_RETURN(SqliteStatement plates,
                      db->Prepare("SELECT license_plate, confidence, metadata, image_path FROM "
                                  "lpr_events WHERE event_id >= ? AND event_id < ? ORDER BY id"));
  for (DetectionRow& row : page.rows) VD_RETURN_IF_ERROR(ReadPlates(&plates, &row));
  return page;
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
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool more, statement.Next("cannot read events"));
    if (!more) return page;
    if (page.rows.size() == static_cast<size_t>(limit)) {
      page.next_cursor = absl::StrCat(last_captured, "_", last_id);
      return page;
    }
    last_captured = statement.Int(6);
    last_id = statement.Int(9);
    page.rows.push_back(ReadEvent(statement));
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
    int64_t before = 0;
    if (!absl::SimpleAtoi(query.cursor, &before)) {
      return absl::InvalidArgumentError("cursor: not one of ours");
    }
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

absl::StatusOr<bool> QueryHasDetection(SqliteDb* db, const MessageKey& key) {
  VD_ASSIGN_OR_RETURN(SqliteStatement statement,
                      db->Prepare("SELECT 1 FROM detections WHERE message_key = ?"));
  statement.BindBlob(1, key.data(), key.size());
  return statement.Next("cannot look up a detection");
}

}  // namespace viaduct
