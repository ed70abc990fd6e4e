#include "core/store/sqlite_schema.h"

#include "absl/strings/str_cat.h"
#include "core/base/crash_point.h"
#include "core/base/status_macros.h"

namespace viaduct {
namespace {

// Times are Unix milliseconds. Detections of one source are a list, newest first: sources.newest,
// then detections.previous. An index by source (or by device) would do the same and cost one more
// page of the write-ahead log for nearly every detection of a node with many cameras. A migration
// that was released is never edited: add another.
constexpr const char* kMigrations[] = {
    // 1: everything the REST road needs.
    R"sql(
CREATE TABLE edge_devices (
  id INTEGER PRIMARY KEY,
  device_id TEXT NOT NULL UNIQUE,
  hostname TEXT NOT NULL DEFAULT '',
  ip_address TEXT NOT NULL DEFAULT '',
  status TEXT NOT NULL DEFAULT 'online',
  last_seen INTEGER,
  created_at INTEGER NOT NULL,
  checkpoint_id TEXT NOT NULL DEFAULT '',
  name TEXT NOT NULL DEFAULT '',
  latitude REAL,
  longitude REAL,
  registered_at INTEGER,
  health_status TEXT NOT NULL DEFAULT 'unknown'
);
CREATE TABLE sources (
  id INTEGER PRIMARY KEY,
  device INTEGER NOT NULL REFERENCES edge_devices (id),
  checkpoint_id TEXT NOT NULL,
  detections INTEGER NOT NULL DEFAULT 0,
  newest INTEGER,
  UNIQUE (device, checkpoint_id)
);
CREATE INDEX sources_checkpoint ON sources (checkpoint_id);
CREATE TABLE detections (
  id INTEGER PRIMARY KEY,
  message_key BLOB NOT NULL UNIQUE,
  message_id TEXT NOT NULL,
  source INTEGER NOT NULL REFERENCES sources (id),
  previous INTEGER,
  protocol TEXT NOT NULL,
  captured_at INTEGER NOT NULL,
  arrived_at INTEGER NOT NULL,
  vehicles_count INTEGER NOT NULL,
  plates_count INTEGER NOT NULL,
  image_path TEXT,
  plate_images TEXT,
  note TEXT,
  metadata TEXT,
  payload TEXT NOT NULL
);
CREATE TABLE lpr_events (
  id INTEGER PRIMARY KEY,
  event_id TEXT NOT NULL UNIQUE,
  edge_device_id TEXT NOT NULL,
  license_plate TEXT,
  confidence REAL CHECK (confidence BETWEEN 0 AND 1),
  image_path TEXT,
  metadata TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  captured_at INTEGER NOT NULL,
  detection INTEGER REFERENCES detections (id)
);
CREATE INDEX lpr_events_captured ON lpr_events (captured_at);
CREATE TABLE health_reports (
  id INTEGER PRIMARY KEY,
  message_key BLOB NOT NULL UNIQUE,
  message_id TEXT NOT NULL,
  device INTEGER NOT NULL REFERENCES edge_devices (id),
  checkpoint_id TEXT NOT NULL,
  protocol TEXT NOT NULL,
  captured_at INTEGER NOT NULL,
  arrived_at INTEGER NOT NULL,
  component TEXT NOT NULL,
  status TEXT NOT NULL,
  message TEXT NOT NULL,
  payload TEXT NOT NULL
);
CREATE INDEX health_reports_device ON health_reports (device);
CREATE TABLE device_messages (
  id INTEGER PRIMARY KEY,
  message_key BLOB NOT NULL UNIQUE,
  message_id TEXT NOT NULL,
  device INTEGER NOT NULL REFERENCES edge_devices (id),
  data_type TEXT NOT NULL,
  protocol TEXT NOT NULL,
  captured_at INTEGER NOT NULL,
  arrived_at INTEGER NOT NULL,
  payload TEXT NOT NULL
);
CREATE TABLE communication_logs (
  id INTEGER PRIMARY KEY,
  protocol TEXT NOT NULL,
  source TEXT NOT NULL,
  destination TEXT NOT NULL,
  message_type TEXT NOT NULL,
  success INTEGER NOT NULL,
  latency_ms REAL NOT NULL,
  error_message TEXT,
  created_at INTEGER NOT NULL
);
CREATE TABLE blacklist (
  license_plate TEXT PRIMARY KEY,
  reason TEXT NOT NULL DEFAULT '',
  created_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE counters (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE daily_counters (
  day TEXT NOT NULL,
  name TEXT NOT NULL,
  value INTEGER NOT NULL,
  PRIMARY KEY (day, name)
) WITHOUT ROWID;
CREATE TRIGGER blacklist_added AFTER INSERT ON blacklist BEGIN
  INSERT INTO counters VALUES ('blacklist', 1)
    ON CONFLICT (name) DO UPDATE SET value = value + 1;
END;
CREATE TRIGGER blacklist_removed AFTER DELETE ON blacklist BEGIN
  UPDATE counters SET value = value - 1 WHERE name = 'blacklist';
END;
CREATE VIEW cameras AS
  SELECT device_id AS camera_id, checkpoint_id, name, registered_at, last_seen, status,
         health_status,
         (SELECT coalesce(sum(detections), 0) FROM sources WHERE device = edge_devices.id)
           AS detection_count
  FROM edge_devices;
)sql",
    // 2: files that devices send beside their messages. The image of a plate is found by its place
    // in the list as sent: mostly the number of its event, else plate_places has it.
    R"sql(
CREATE TABLE file_transfers (
  id INTEGER PRIMARY KEY,
  transfer_id TEXT NOT NULL UNIQUE,
  device_id TEXT NOT NULL,
  node_id TEXT NOT NULL,
  message_id TEXT NOT NULL,
  message_key BLOB,
  kind TEXT NOT NULL,
  place INTEGER NOT NULL,
  name TEXT NOT NULL,
  size INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'waiting',
  detail TEXT NOT NULL DEFAULT '',
  path TEXT,
  captured_at INTEGER NOT NULL,
  announced_at INTEGER NOT NULL,
  settled_at INTEGER
);
CREATE INDEX file_transfers_stored ON file_transfers (message_key)
  WHERE status = 'stored' AND message_key IS NOT NULL;
CREATE INDEX file_transfers_open ON file_transfers (status, id) WHERE status <> 'stored';
CREATE INDEX file_transfers_device ON file_transfers (device_id, id);
CREATE TABLE plate_places (
  id INTEGER PRIMARY KEY,
  event_id TEXT NOT NULL UNIQUE,
  place INTEGER NOT NULL
);
)sql",
    // 3: which detections wait for files.
    R"sql(
CREATE INDEX file_transfers_awaited ON file_transfers (message_key) WHERE status = 'waiting';
)sql",
    // 4: how many detections of each source came in each hour since 1970; source 0 is all of them.
    // Whoever adds or removes rows keeps the counts right.
    R"sql(
CREATE TABLE detection_hours (
  source INTEGER NOT NULL,
  hour INTEGER NOT NULL,
  detections INTEGER NOT NULL,
  plates INTEGER NOT NULL,
  PRIMARY KEY (source, hour)
) WITHOUT ROWID;
INSERT INTO detection_hours
  SELECT source, arrived_at / 3600000, count(*), sum(plates_count) FROM detections GROUP BY 1, 2;
INSERT INTO detection_hours
  SELECT 0, hour, sum(detections), sum(plates) FROM detection_hours GROUP BY hour;
)sql",
    // 5: the newest report of the gateway of a device.
    R"sql(
CREATE INDEX health_reports_gateway ON health_reports (device, id) WHERE component = 'gateway';
)sql",
};

absl::StatusOr<int64_t> CurrentVersion(SqliteDb* db) {
  VD_ASSIGN_OR_RETURN(const int64_t tables, db->QueryInt("SELECT count(*) FROM sqlite_schema"));
  if (tables == 0) return 0;
  VD_ASSIGN_OR_RETURN(const int64_t application, db->QueryInt("PRAGMA application_id"));
  VD_ASSIGN_OR_RETURN(
      const int64_t ours,
      db->QueryInt("SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'"));
  if (application != kStoreApplicationId || ours == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("store: the file belongs to another program, application id ", application,
                     ", expected ", kStoreApplicationId));
  }
  return db->QueryInt("SELECT max(version) FROM schema_version");
}

absl::Status ApplyMigration(SqliteDb* db, int64_t version, absl::Time now) {
  VD_CRASH_POINT("store.migrate.before");
  VD_RETURN_IF_ERROR(db->Exec("BEGIN IMMEDIATE"));
  if (version == 1) {
    VD_RETURN_IF_ERROR(db->Exec(
        "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL)"));
    VD_RETURN_IF_ERROR(
        db->Exec(absl::StrCat("PRAGMA application_id=", kStoreApplicationId).c_str()));
  }
  VD_RETURN_IF_ERROR(db->Exec(kMigrations[version - 1]));
  VD_RETURN_IF_ERROR(db->Exec(absl::StrCat("INSERT INTO schema_version VALUES (", version, ", ",
                                           absl::ToUnixMillis(now), ")")
                                  .c_str()));
  VD_CRASH_POINT("store.migrate.commit");
  VD_RETURN_IF_ERROR(db->Exec("COMMIT"));
  VD_CRASH_POINT("store.migrate.after");
  return absl::OkStatus();
}

}  // namespace

int64_t LatestSchemaVersion() { return static_cast<int64_t>(std::size(kMigrations)); }

absl::StatusOr<int64_t> MigrateSchema(SqliteDb* db, absl::Time now) {
  VD_ASSIGN_OR_RETURN(const int64_t current, CurrentVersion(db));
  if (current > LatestSchemaVersion()) {
    return absl::FailedPreconditionError(absl::StrCat("store: written by a newer version, schema ",
                                                      current, ", this version knows up to ",
                                                      LatestSchemaVersion()));
  }
  for (int64_t version = current + 1; version <= LatestSchemaVersion(); ++version) {
    const absl::Status status = ApplyMigration(db, version, now);
    if (status.ok()) continue;
    if (db->InTransaction()) db->Exec("ROLLBACK").IgnoreError();
    return status;
  }
  return LatestSchemaVersion();
}

}  // namespace viaduct
