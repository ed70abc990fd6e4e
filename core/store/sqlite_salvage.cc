#include "core/store/sqlite_salvage.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "core/base/crash_point.h"
#include "core/base/status_macros.h"
#include "core/store/sqlite_schema.h"

namespace viaduct {
namespace {

// Where max(id) cannot be read any more.
constexpr int64_t kUnknownMaxId = int64_t{1} << 40;

// Device and source of rows whose own device or source is lost. New ones get higher numbers, so no
// lost number is given to somebody else.
constexpr int64_t kStandInId = int64_t{1} << 31;

int64_t MaxId(SqliteDb* db, const char* table) {
  const absl::StatusOr<int64_t> id =
      db->QueryInt(absl::StrCat("SELECT coalesce(max(id), 0) FROM ", table));
  return id.ok() ? *id : kUnknownMaxId;
}

}  // namespace

// What a row of a table counts for, and how it is copied. Columns do not include the id.
struct SqliteSalvage::Table {
  const char* name;
  const char* columns;
  int column_count;
  bool keeps_id;
  int parent_column;          // Which column refers to `parents`; -1: none.
  bool parent_is_source;      // Else a device.
  const char* daily_counter;  // nullptr: not counted.
  int arrived_column;
  int plates_column = -1;
};

const SqliteSalvage::Table SqliteSalvage::kTables[] = {
    {"detections",
     "message_key, message_id, source, previous, protocol, captured_at, arrived_at, "
     "vehicles_count, plates_count, image_path, plate_images, note, metadata, payload",
     14, true, 2, true, "detections", 6, 8},
    {"lpr_events",
     "event_id, edge_device_id, license_plate, confidence, image_path, metadata, created_at, "
     "updated_at, captured_at, detection",
     10, true, -1, false, nullptr, -1},
    {"health_reports",
     "message_key, message_id, device, checkpoint_id, protocol, captured_at, arrived_at, "
     "component, status, message, payload",
     11, false, 2, false, "health_reports", 6},
    {"device_messages",
     "message_key, message_id, device, data_type, protocol, captured_at, arrived_at, payload", 8,
     false, 2, false, nullptr, -1},
    {"communication_logs",
     "protocol, source, destination, message_type, success, latency_ms, error_message, "
     "created_at",
     8, false, -1, false, nullptr, -1},
    {"file_transfers",
     "transfer_id, device_id, node_id, message_id, message_key, kind, place, name, size, sha256, "
     "status, "
     "detail, path, captured_at, announced_at, settled_at",
     16, false, -1, false, nullptr, -1},
    {"plate_places", "event_id, place", 2, false, -1, false, nullptr, -1},
};

struct SqliteSalvage::Counts {
  absl::TimeZone zone;
  absl::flat_hash_map<int64_t, int64_t> by_source;
  absl::flat_hash_map<std::pair<std::string, std::string>, int64_t> by_day;  // Day, counter.
  // Source, or 0, and hour: detections, plates.
  absl::flat_hash_map<std::pair<int64_t, int64_t>, std::pair<int64_t, int64_t>> by_hour;

  void Add(const Table& table, const SqliteStatement& row, int64_t parent) {
    if (table.daily_counter == nullptr) return;
    const absl::Time arrived = absl::FromUnixMillis(row.Int(table.arrived_column + 1));
    ++by_day[{absl::FormatCivilTime(absl::ToCivilDay(arrived, zone)), table.daily_counter}];
    if (!table.parent_is_source) return;
    ++by_source[parent];
    for (const int64_t which : {int64_t{0}, parent}) {
      auto& [detections, plates] = by_hour[{which, absl::ToUnixMillis(arrived) / kMillisAnHour}];
      ++detections;
      plates += row.Int(table.plates_column + 1);
    }
  }

  absl::Status WriteHours(SqliteDb* db) const {
    VD_ASSIGN_OR_RETURN(SqliteStatement hourly, db->Prepare(kAddToHour));
    for (const auto& [key, counts] : by_hour) {
      hourly.Bind(1, key.first);
      hourly.Bind(2, key.second);
      hourly.Bind(3, counts.first);
      hourly.Bind(4, counts.second);
      VD_RETURN_IF_ERROR(hourly.Run("cannot count salvaged rows"));
    }
    return absl::OkStatus();
  }

  absl::Status Write(SqliteDb* db) const {
    VD_ASSIGN_OR_RETURN(
        SqliteStatement source,
        db->Prepare("UPDATE sources SET detections = detections + ?2 WHERE id = ?1"));
    for (const auto& [id, count] : by_source) {
      source.Bind(1, id);
      source.Bind(2, count);
      VD_RETURN_IF_ERROR(source.Run("cannot count salvaged rows"));
    }
    VD_ASSIGN_OR_RETURN(SqliteStatement total,
                        db->Prepare("INSERT INTO counters VALUES (?1, ?2) ON CONFLICT (name) DO "
                                    "UPDATE SET value = value + excluded.value"));
    VD_ASSIGN_OR_RETURN(
        SqliteStatement daily,
        db->Prepare("INSERT INTO daily_counters VALUES (?1, ?2, ?3) ON CONFLICT (day, name) DO "
                    "UPDATE SET value = value + excluded.value"));
    for (const auto& [key, count] : by_day) {
      total.Bind(1, std::string_view(key.second));
      total.Bind(2, count);
      VD_RETURN_IF_ERROR(total.Run("cannot count salvaged rows"));
      daily.Bind(1, std::string_view(key.first));
      daily.Bind(2, std::string_view(key.second));
      daily.Bind(3, count);
      VD_RETURN_IF_ERROR(daily.Run("cannot count salvaged rows"));
    }
    return WriteHours(db);
  }
};

SqliteSalvage::SqliteSalvage(SqliteDamagedFile damaged, std::unique_ptr<SqliteDb> source, Log* log)
    : damaged_(std::move(damaged)), source_(std::move(source)), log_(log) {}

std::unique_ptr<SqliteSalvage> SqliteSalvage::Begin(SqliteDamagedFile damaged, SqliteDb* db,
                                                    const Clock* clock, Log* log) {
  if (damaged.step() != SqliteDamagedFile::Step::kCopying) return nullptr;
  const std::string name = damaged.name();
  SqliteDb::Options options;
  options.read_only = true;
  auto source = SqliteDb::Open(name, options, clock);
  absl::Status status = source.status();
  if (status.ok()) status = (*source)->QueryInt("SELECT count(*) FROM sqlite_schema").status();
  if (!status.ok()) {
    damaged.Finish();
    log->Error("store", "nothing of the damaged file can be read",
               {{"file", name}, {"error", std::string(status.message())}});
    return nullptr;
  }
  auto salvage = absl::WrapUnique(new SqliteSalvage(std::move(damaged), std::move(*source), log));
  status = salvage->Prepare(db);
  if (status.ok()) return salvage;
  if (db->InTransaction()) db->Exec("ROLLBACK").IgnoreError();
  log->Error("store", "cannot salvage from the damaged file before the next start",
             {{"file", name}, {"error", std::string(status.message())}});
  return nullptr;
}

absl::Status SqliteSalvage::Prepare(SqliteDb* db) {
  max_id_ = std::max(MaxId(source_.get(), "detections"), MaxId(source_.get(), "lpr_events"));
  LoadParents();
  VD_ASSIGN_OR_RETURN(const int64_t prepared,
                      db->QueryInt("SELECT count(*) FROM counters WHERE name = 'reserved_ids'"));
  if (prepared > 0) return absl::OkStatus();
  VD_RETURN_IF_ERROR(db->Exec("BEGIN IMMEDIATE"));
  VD_RETURN_IF_ERROR(CopyParents(db));
  VD_RETURN_IF_ERROR(ReserveIds(db));
  return db->Exec("COMMIT");
}

absl::Status SqliteSalvage::ReserveIds(SqliteDb* db) {
  return db->Exec(
      absl::StrCat("INSERT OR REPLACE INTO counters VALUES ('reserved_ids', ", max_id_, ")")
          .c_str());
}

// Into an empty database: ids stay as they are. Counts start at zero and follow the rows.
absl::Status SqliteSalvage::CopyParents(SqliteDb* db) {
  bool lost = false;
  const auto copy = [&](const char* select, const char* insert, int columns) -> absl::Status {
    VD_ASSIGN_OR_RETURN(SqliteStatement in, db->Prepare(insert));
    absl::StatusOr<SqliteStatement> out = source_->Prepare(select);
    while (out.ok()) {
      const absl::StatusOr<bool> more = out->Next("cannot read");
      if (!more.ok()) break;
      if (!*more) return absl::OkStatus();
      for (int i = 0; i < columns; ++i) in.BindFrom(i + 1, *out, i);
      VD_RETURN_IF_ERROR(in.Run("cannot salvage"));
    }
    lost = true;
    return absl::OkStatus();
  };
  VD_RETURN_IF_ERROR(copy(
      "SELECT id, device_id, hostname, ip_address, status, last_seen, created_at, checkpoint_id, "
      "name, latitude, longitude, registered_at, health_status FROM edge_devices",
      "INSERT OR IGNORE INTO edge_devices (id, device_id, hostname, ip_address, status, "
      "last_seen, created_at, checkpoint_id, name, latitude, longitude, registered_at, "
      "health_status) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
      13));
  VD_RETURN_IF_ERROR(copy("SELECT id, device, checkpoint_id, newest FROM sources",
                          "INSERT OR IGNORE INTO sources (id, device, checkpoint_id, newest) "
                          "VALUES (?,?,?,?)",
                          4));
  if (lost) VD_RETURN_IF_ERROR(AddStandIn(db));
  VD_RETURN_IF_ERROR(copy("SELECT license_plate, reason, created_at FROM blacklist",
                          "INSERT OR IGNORE INTO blacklist VALUES (?,?,?)", 3));
  return db->Exec(
      "DELETE FROM sources WHERE device NOT IN (SELECT id FROM edge_devices);"
      "INSERT OR REPLACE INTO counters SELECT 'devices', count(*) FROM edge_devices;"
      "INSERT OR REPLACE INTO counters SELECT 'cameras', count(DISTINCT device) FROM sources");
}

absl::Status SqliteSalvage::AddStandIn(SqliteDb* db) {
  return db->Exec(absl::StrCat("INSERT OR IGNORE INTO edge_devices (id, device_id, created_at) "
                               "VALUES (",
                               kStandInId,
                               ", 'recovered', 0);INSERT OR IGNORE INTO sources (id, "
                               "device, checkpoint_id) VALUES (",
                               kStandInId, ", ", kStandInId, ", '')")
                      .c_str());
}

void SqliteSalvage::LoadParents() {
  const auto load = [this](const char* sql, absl::flat_hash_set<int64_t>* out) {
    absl::StatusOr<SqliteStatement> statement = source_->Prepare(sql);
    while (statement.ok()) {
      const absl::StatusOr<bool> more = statement->Next("cannot read");
      if (!more.ok() || !*more) return;
      out->insert(statement->Int(0));
    }
  };
  load("SELECT id FROM edge_devices", &devices_);
  load("SELECT id FROM sources WHERE device IN (SELECT id FROM edge_devices)", &sources_);
}

bool SqliteSalvage::Step(SqliteDb* db, absl::TimeZone zone, int max_rows) {
  if (table_ >= std::size(kTables)) {
    Finish();
    return false;
  }
  Counts counts{zone, {}, {}, {}};
  VD_CRASH_POINT("store.salvage.before");
  absl::Status status = db->Exec("BEGIN IMMEDIATE");
  const int64_t before = after_id_;
  absl::StatusOr<int> rows = 0;
  if (status.ok()) rows = CopyRows(db, kTables[table_], max_rows, &counts);
  if (status.ok()) status = rows.status();
  if (status.ok()) status = counts.Write(db);
  if (status.ok()) status = db->Exec("COMMIT");
  VD_CRASH_POINT("store.salvage.after");
  if (!status.ok()) {
    // The new database cannot be written now (a full disk): the marker stays for the next start.
    if (db->InTransaction()) db->Exec("ROLLBACK").IgnoreError();
    after_id_ = before;
    log_->Warning("store", "salvage stops until the next start",
                  {{"error", std::string(status.message())}});
    return false;
  }
  copied_ += *rows;
  return true;
}

absl::StatusOr<int> SqliteSalvage::CopyRows(SqliteDb* db, const Table& table, int max_rows,
                                            Counts* counts) {
  std::string marks = "?";
  for (int i = 1; i < table.column_count + (table.keeps_id ? 1 : 0); ++i) marks += ",?";
  VD_ASSIGN_OR_RETURN(SqliteStatement insert,
                      db->Prepare(absl::StrCat("INSERT OR IGNORE INTO ", table.name, " (",
                                               table.keeps_id ? "id, " : "", table.columns,
                                               ") VALUES (", marks, ")")));
  absl::StatusOr<SqliteStatement> select = source_->Prepare(absl::StrCat(
      "SELECT id, ", table.columns, " FROM ", table.name, " WHERE id > ? ORDER BY id LIMIT ?"));
  if (!select.ok()) {
    NextTable();
    return 0;
  }
  select->Bind(1, after_id_);
  select->Bind(2, int64_t{max_rows});
  int read = 0;
  int copied = 0;
  while (true) {
    const absl::StatusOr<bool> more = select->Next("cannot read");
    if (!more.ok()) {
      SkipUnreadable();
      return copied;
    }
    if (!*more) break;
    ++read;
    after_id_ = select->Int(0);
    unreadable_ = 0;
    int64_t parent = table.parent_column < 0 ? 0 : select->Int(table.parent_column + 1);
    CopyColumns(table, *select, &insert);
    if (table.parent_column >= 0 && !Knows(table, parent)) {
      VD_RETURN_IF_ERROR(AddStandIn(db));
      parent = kStandInId;
      insert.Bind(table.parent_column + (table.keeps_id ? 2 : 1), parent);
    }
    const absl::Status status = insert.Run("cannot salvage");
    if (status.code() == absl::StatusCode::kInvalidArgument) continue;  // A row full of rubbish.
    VD_RETURN_IF_ERROR(status);
    if (db->Changes() == 0) continue;
    ++copied;
    counts->Add(table, *select, parent);
  }
  if (read < max_rows) NextTable();
  return copied;
}

bool SqliteSalvage::Knows(const Table& table, int64_t parent) const {
  return (table.parent_is_source ? sources_ : devices_).contains(parent);
}

void SqliteSalvage::CopyColumns(const Table& table, const SqliteStatement& row,
                                SqliteStatement* insert) const {
  int out = 1;
  if (table.keeps_id) insert->BindFrom(out++, row, 0);
  for (int i = 0; i < table.column_count; ++i, ++out) insert->BindFrom(out, row, i + 1);
}

// One row number at a time within a page or two, then in growing steps to behind the damage.
void SqliteSalvage::SkipUnreadable() {
  ++damaged_places_;
  ++unreadable_;
  constexpr int64_t kNear = 128;
  after_id_ += unreadable_ <= kNear ? 1 : int64_t{1} << std::min<int64_t>(unreadable_ - kNear, 40);
  if (after_id_ > max_id_) NextTable();
}

void SqliteSalvage::NextTable() {
  ++table_;
  after_id_ = 0;
  unreadable_ = 0;
}

void SqliteSalvage::Finish() {
  source_.reset();  // With its log, before anybody is told that the file is only kept.
  damaged_.Finish();
  log_->Warning(
      "store", "salvage from the damaged file is done",
      {{"rows", absl::StrCat(copied_)}, {"unreadable_places", absl::StrCat(damaged_places_)}});
}

}  // namespace viaduct
