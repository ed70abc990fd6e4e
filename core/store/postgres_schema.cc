#include "core/store/postgres_schema.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/civil_time.h"
#include "core/base/crash_point.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

// One for migrations and partitions of every node ("VIAD").
constexpr char kLock[] = "SELECT pg_advisory_xact_lock(1447379268)";

// Rather tried again by the caller than everybody behind it, and a connection of each node.
constexpr char kShortly[] = "SET LOCAL lock_timeout = '5s'";

// lpr_events is partitioned by arrival, the one time that is the server's own: what a camera with a
// wrong clock sends lands in this month like everything else. A unique index must contain the
// partition's column, so the uniqueness of ids over all partitions rests on two tables that have
// none: detections.message_key makes "<detection_id>-<n>" unique, event_ids those made by hand.
// Foreign keys would cost a lookup per row on the way in; only the writer fills these tables.
// Counters have a row per writer: nodes never wait for each other's. A migration that was released
// is never edited: add another. Each is committed by itself, and waits for no lock longer than
// kShortly, as everybody else would wait behind it; what takes long on a full table is no migration
// (postgres_indexes.h).
constexpr const char* kMigrations[] = {
    // 1
    R"sql(
CREATE TABLE writers (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  node_id text COLLATE "C" NOT NULL UNIQUE,
  groups bigint NOT NULL DEFAULT 0,
  last_detection bigint NOT NULL DEFAULT 0,
  last_health_report bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE TABLE edge_devices (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  device_id text COLLATE "C" NOT NULL UNIQUE,
  hostname text NOT NULL DEFAULT '',
  ip_address text NOT NULL DEFAULT '',
  status text NOT NULL DEFAULT 'online',
  last_seen timestamptz,
  created_at timestamptz NOT NULL,
  checkpoint_id text NOT NULL DEFAULT '',
  name text NOT NULL DEFAULT '',
  latitude double precision,
  longitude double precision,
  registered_at timestamptz,
  health_status text NOT NULL DEFAULT 'unknown',
  has_detections boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);
CREATE TABLE sources (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  device bigint NOT NULL,
  checkpoint_id text COLLATE "C" NOT NULL,
  detections bigint NOT NULL DEFAULT 0,
  UNIQUE (device, checkpoint_id)
) WITH (fillfactor = 50);
CREATE INDEX sources_checkpoint ON sources (checkpoint_id);
CREATE TABLE detections (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  message_key uuid NOT NULL UNIQUE,
  source bigint NOT NULL,
  captured_at timestamptz NOT NULL,
  arrived_at timestamptz NOT NULL,
  writer int NOT NULL,
  vehicles_count int NOT NULL,
  plates_count int NOT NULL,
  message_id text NOT NULL,
  protocol text NOT NULL,
  image_path text,
  plate_images text,
  note text,
  metadata text,
  payload text NOT NULL
);
CREATE INDEX detections_source ON detections (source, id);
CREATE SEQUENCE lpr_events_id;
CREATE TABLE lpr_events (
  id bigint NOT NULL DEFAULT nextval('lpr_events_id'),
  event_id text COLLATE "C" NOT NULL,
  edge_device_id text COLLATE "C" NOT NULL,
  license_plate text COLLATE "C",
  confidence double precision CHECK (confidence BETWEEN 0 AND 1),
  image_path text,
  metadata jsonb,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  captured_at timestamptz NOT NULL,
  detection bigint,
  UNIQUE (event_id, created_at)
) PARTITION BY RANGE (created_at);
CREATE INDEX lpr_events_captured ON lpr_events (captured_at, id);
CREATE TABLE lpr_events_other PARTITION OF lpr_events DEFAULT;
CREATE TABLE event_ids (
  event_id text COLLATE "C" PRIMARY KEY,
  created_at timestamptz NOT NULL
);
CREATE TABLE health_reports (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  message_key uuid NOT NULL UNIQUE,
  device bigint NOT NULL,
  captured_at timestamptz NOT NULL,
  arrived_at timestamptz NOT NULL,
  writer int NOT NULL,
  message_id text NOT NULL,
  checkpoint_id text NOT NULL,
  protocol text NOT NULL,
  component text NOT NULL,
  status text NOT NULL,
  message text NOT NULL,
  payload text NOT NULL
);
CREATE INDEX health_reports_device ON health_reports (device);
CREATE TABLE device_messages (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  message_key uuid NOT NULL UNIQUE,
  device bigint NOT NULL,
  captured_at timestamptz NOT NULL,
  arrived_at timestamptz NOT NULL,
  writer int NOT NULL,
  message_id text NOT NULL,
  data_type text NOT NULL,
  protocol text NOT NULL,
  payload text NOT NULL
);
CREATE TABLE communication_logs (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  protocol text COLLATE "C" NOT NULL,
  source text NOT NULL,
  destination text NOT NULL,
  message_type text NOT NULL,
  success boolean NOT NULL,
  latency_ms double precision NOT NULL,
  error_message text,
  created_at timestamptz NOT NULL
);
CREATE TABLE blacklist (
  license_plate text COLLATE "C" PRIMARY KEY,
  reason text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL
);
CREATE TABLE counters (
  name text NOT NULL,
  writer int NOT NULL,
  value bigint NOT NULL,
  PRIMARY KEY (name, writer)
) WITH (fillfactor = 50);
CREATE TABLE daily_counters (
  day text NOT NULL,
  name text NOT NULL,
  writer int NOT NULL,
  value bigint NOT NULL,
  PRIMARY KEY (day, name, writer)
) WITH (fillfactor = 50);
CREATE VIEW cameras AS
  SELECT device_id AS camera_id, checkpoint_id, name, registered_at, last_seen, status,
         health_status,
         (SELECT coalesce(sum(detections), 0) FROM sources WHERE device = edge_devices.id)
           AS detection_count
  FROM edge_devices;
)sql",
    // 2: which cameras have sessions at which node.
    R"sql(
CREATE TABLE node_cameras (
  writer int NOT NULL,
  camera_id text COLLATE "C" NOT NULL,
  checkpoint_id text NOT NULL,
  online boolean NOT NULL,
  announced boolean NOT NULL,
  changed_at timestamptz NOT NULL,
  version bigint NOT NULL,
  PRIMARY KEY (writer, camera_id)
) WITH (fillfactor = 50);
CREATE INDEX node_cameras_version ON node_cameras (writer, version, camera_id);
)sql",
    // 3: the indexes of postgres_indexes.h, which are made there now.
    "SELECT",
    // 4: which nodes are alive, and how often each has written its cameras. Tables of their own: a
    // group locks the row of its node in writers until it is committed, and whoever changes a table
    // in use waits for every dump of it, with all others behind.
    R"sql(
CREATE TABLE node_beats (
  writer int PRIMARY KEY,
  last_seen timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE node_presence (
  writer int PRIMARY KEY,
  version bigint NOT NULL
) WITH (fillfactor = 50);
)sql",
    // 5: which rows of node_cameras say that a camera without a session has fallen silent: those
    // with the same version.
    R"sql(
CREATE TABLE node_silences (
  writer int NOT NULL,
  camera_id text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  PRIMARY KEY (writer, camera_id)
) WITH (fillfactor = 50);
)sql",
    // 6: files that devices send beside their messages. The image of a plate is found by its place
    // in the list as sent: mostly the number of its event, else plate_places has it.
    R"sql(
CREATE TABLE file_transfers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  transfer_id text COLLATE "C" NOT NULL UNIQUE,
  device_id text COLLATE "C" NOT NULL,
  node_id text NOT NULL,
  message_id text NOT NULL,
  message_key uuid,
  kind text NOT NULL,
  place int NOT NULL,
  name text NOT NULL,
  size bigint NOT NULL,
  sha256 text NOT NULL,
  status text COLLATE "C" NOT NULL DEFAULT 'waiting',
  detail text NOT NULL DEFAULT '',
  path text,
  captured_at timestamptz NOT NULL,
  announced_at timestamptz NOT NULL,
  settled_at timestamptz
);
CREATE INDEX file_transfers_stored ON file_transfers (message_key)
  WHERE status = 'stored' AND message_key IS NOT NULL;
CREATE INDEX file_transfers_open ON file_transfers (status, id) WHERE status <> 'stored';
CREATE INDEX file_transfers_device ON file_transfers (device_id, id);
CREATE TABLE plate_places (
  event_id text COLLATE "C" PRIMARY KEY,
  place int NOT NULL
);
)sql",
    // 7: which detections wait for files.
    R"sql(
CREATE INDEX file_transfers_awaited ON file_transfers (message_key) WHERE status = 'waiting';
)sql",
    // 8: how many detections of each source came in each hour since 1970; source 0 is all of them.
    // As counters it has a row per writer. Those that were there before are between the two numbers
    // of detection_hours_pending, and counted later as those of writer 0 (postgres_hours.h).
    R"sql(
CREATE TABLE detection_hours (
  source bigint NOT NULL,
  hour bigint NOT NULL,
  writer int NOT NULL,
  detections bigint NOT NULL,
  plates bigint NOT NULL,
  PRIMARY KEY (source, hour, writer)
) WITH (fillfactor = 50);
CREATE TABLE detection_hours_pending (
  next_id bigint NOT NULL,
  until_id bigint NOT NULL
);
INSERT INTO detection_hours_pending
  SELECT first, last FROM (SELECT min(id) AS first, max(id) AS last FROM detections) d
  WHERE first IS NOT NULL;
)sql",
};

// One look, while another node may be making the tables; to_regclass would remember in a
// transaction that there are none.
absl::StatusOr<int64_t> CurrentVersion(PgConnection* db) {
  VD_ASSIGN_OR_RETURN(
      const PgResult there,
      db->Run("SELECT count(*) FILTER (WHERE relname = 'schema_version'), count(*) FROM pg_class "
              "WHERE relname IN ('schema_version', 'lpr_events', 'edge_devices', "
              "'communication_logs') AND pg_table_is_visible(oid)",
              PgParams(), "cannot look for the tables"));
  if (there.Int(0, 0) != 0) {
    return db->QueryInt("SELECT coalesce(max(version), 0) FROM schema_version");
  }
  if (there.Int(0, 1) == 0) return 0;
  return absl::FailedPreconditionError(
      "store: the tables of this database belong to another program, use a database of its own");
}

// FAILED_PRECONDITION for one that is newer than this program.
absl::StatusOr<int64_t> KnownVersion(PgConnection* db) {
  VD_ASSIGN_OR_RETURN(const int64_t current, CurrentVersion(db));
  const int64_t latest = LatestPostgresSchemaVersion();
  if (current <= latest) return current;
  return absl::FailedPreconditionError(absl::StrCat("store: written by a newer version, schema ",
                                                    current, ", this version knows up to ",
                                                    latest));
}

// Applies the next one, if another node has not.
absl::Status ApplyOne(PgConnection* db) {
  VD_RETURN_IF_ERROR(db->Exec(kShortly));
  VD_RETURN_IF_ERROR(db->Exec(kLock));
  VD_ASSIGN_OR_RETURN(const int64_t current, KnownVersion(db));
  if (current == LatestPostgresSchemaVersion()) return absl::OkStatus();
  if (current == 0) {
    VD_RETURN_IF_ERROR(
        db->Exec("CREATE TABLE schema_version (version int PRIMARY KEY, "
                 "applied_at timestamptz NOT NULL DEFAULT now())"));
  }
  VD_CRASH_POINT("store.migrate.before");
  VD_RETURN_IF_ERROR(db->Exec(kMigrations[current]));
  VD_RETURN_IF_ERROR(
      db->Exec(absl::StrCat("INSERT INTO schema_version (version) VALUES (", current + 1, ")")));
  VD_CRASH_POINT("store.migrate.commit");
  return absl::OkStatus();
}

// Rows of that month may be in the default partition already, when a clock was wrong.
std::string CreatePartition(absl::CivilMonth month) {
  const std::string name = absl::StrFormat("lpr_events_%04d_%02d", month.year(), month.month());
  const auto day = [](absl::CivilMonth m) {
    return absl::StrFormat("'%04d-%02d-01 00:00+00'", m.year(), m.month());
  };
  const std::string from = day(month);
  const std::string to = day(month + 1);
  return absl::StrCat(
      "CREATE TABLE ", name,
      " (LIKE lpr_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES);"
      "LOCK TABLE lpr_events_other IN ACCESS EXCLUSIVE MODE;"
      "WITH moved AS (DELETE FROM lpr_events_other WHERE created_at >= ",
      from, " AND created_at < ", to, " RETURNING *) INSERT INTO ", name,
      " SELECT * FROM moved;"
      "ALTER TABLE lpr_events ATTACH PARTITION ",
      name, " FOR VALUES FROM (", from, ") TO (", to, ")");
}

absl::Status AddPartitions(PgConnection* db, absl::CivilMonth first) {
  // Rather next time than everybody behind a lock that waits for a long reader.
  VD_RETURN_IF_ERROR(db->Exec("SET LOCAL lock_timeout = '2s'"));
  VD_RETURN_IF_ERROR(db->Exec(kLock));
  for (int i = 0; i <= kPartitionsAhead; ++i) {
    const absl::CivilMonth month = first + i;
    VD_ASSIGN_OR_RETURN(const PgResult there,
                        db->Run("SELECT to_regclass($1) IS NOT NULL",
                                PgParams().Add(absl::StrFormat("lpr_events_%04d_%02d", month.year(),
                                                               month.month())),
                                "cannot look for a partition"));
    if (there.Bool(0, 0)) continue;
    VD_RETURN_IF_ERROR(db->Exec(CreatePartition(month)));
  }
  return absl::OkStatus();
}

template <typename Work>
absl::Status InTransaction(PgConnection* db, const Work& work) {
  VD_RETURN_IF_ERROR(db->Exec("BEGIN"));
  const absl::Status status = work();
  if (status.ok()) return db->Exec("COMMIT");
  if (!db->broken()) db->Exec("ROLLBACK").IgnoreError();
  return status;
}

}  // namespace

int64_t LatestPostgresSchemaVersion() { return static_cast<int64_t>(std::size(kMigrations)); }

absl::StatusOr<int64_t> MigratePostgres(PgConnection* db) {
  const int64_t latest = LatestPostgresSchemaVersion();
  VD_ASSIGN_OR_RETURN(int64_t current, KnownVersion(db));
  while (current < latest) {
    VD_RETURN_IF_ERROR(InTransaction(db, [db] { return ApplyOne(db); }));
    VD_ASSIGN_OR_RETURN(current, KnownVersion(db));
  }
  VD_CRASH_POINT("store.migrate.after");
  return latest;
}

bool IsUnsafeServer(PgConnection* db) {
  const absl::StatusOr<int64_t> unsafe = db->QueryInt(
      "SELECT current_setting('fsync') = 'off' OR current_setting('full_page_writes') = 'off'");
  return unsafe.ok() && *unsafe != 0;
}

absl::Status EnsurePartitions(PgConnection* db, absl::Time now) {
  const absl::CivilMonth first = absl::ToCivilMonth(now, absl::UTCTimeZone());
  return InTransaction(db, [db, first] { return AddPartitions(db, first); });
}

}  // namespace viaduct
