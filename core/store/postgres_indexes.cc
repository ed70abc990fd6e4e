#include "core/store/postgres_indexes.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/executor.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/store/postgres_hours.h"

namespace viaduct {
namespace {

constexpr absl::Duration kAgain = absl::Seconds(60);     // After an error, or beside another node.
constexpr absl::Duration kBuildLimit = absl::Hours(12);  // It waits for older readers, as a dump.

// Of the session: who waits for it in a transaction would be waited for by the index.
constexpr char kTryLock[] = "SELECT pg_try_advisory_lock(1447379269)";
// What everybody else would queue behind.
constexpr char kShortly[] = "SET lock_timeout = '2s'; ";
constexpr char kPatiently[] = "SET lock_timeout = 0";

constexpr std::string_view kBare =
    "SELECT c.relname FROM pg_inherits p JOIN pg_class c ON c.oid = p.inhrelid WHERE p.inhparent = "
    "'lpr_events'::regclass AND NOT EXISTS (SELECT 1 FROM pg_index i JOIN pg_inherits h ON "
    "h.inhrelid = i.indexrelid WHERE i.indrelid = c.oid AND h.inhparent = to_regclass($1)) ORDER "
    "BY c.relname";

enum class State { kMissing, kInvalid, kValid };

absl::StatusOr<State> StateOf(PgConnection* db, std::string_view index) {
  VD_ASSIGN_OR_RETURN(const PgResult row,
                      db->Run("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)",
                              PgParams().Add(index), "cannot look for an index"));
  if (row.rows() == 0) return State::kMissing;
  return row.Bool(0, 0) ? State::kValid : State::kInvalid;
}

}  // namespace

struct PostgresIndexes::Index {
  std::string_view name;
  const char* suffix;  // Of the name in a partition of lpr_events; "": of health_reports.
  const char* columns;
  const char* before;  // What it needs.
};

// The first finds the newest report of the gateway of a device, the last parts of plates. pg_trgm
// comes with the server, and may be created by who may create in the database. Its pending list is
// read with each search: it stays short.
const PostgresIndexes::Index PostgresIndexes::kIndexes[] = {
    {"health_reports_gateway", "", "(device, id) WHERE component = 'gateway'", ""},
    {"lpr_events_device", "_device", "(edge_device_id, captured_at, id)", ""},
    {kPlateIndex, "_plate",
     "USING gin (license_plate gin_trgm_ops) WITH (gin_pending_list_limit = 1024)",
     "CREATE EXTENSION IF NOT EXISTS pg_trgm"},
};

PostgresIndexes::PostgresIndexes(Options options, Log* log)
    : options_(std::move(options)), log_(log) {}

PostgresIndexes::~PostgresIndexes() {
  stopping_.Notify();
  if (thread_.joinable()) thread_.join();
}

void PostgresIndexes::Begin() {
  if (!thread_.joinable()) thread_ = std::thread([this] { Loop(); });
}

void PostgresIndexes::Loop() {
  SetThreadName("store-indexes");
  while (!stopping_.HasBeenNotified()) {
    const absl::StatusOr<bool> all = Look();
    if (all.ok() && *all) return;
    const absl::Duration pause =
        all.ok() ? options_.look_every : std::min(options_.look_every, kAgain);
    stopping_.WaitForNotificationWithTimeout(pause);
  }
}

absl::StatusOr<bool> PostgresIndexes::Look() {
  VD_ASSIGN_OR_RETURN(const auto db, PgConnection::Open(options_.connection));
  // What else has to be done beside the writing.
  VD_RETURN_IF_ERROR(CountEarlierDetections(db.get(), stopping_));
  bool all = true;
  for (const Index& index : kIndexes) {
    VD_ASSIGN_OR_RETURN(const State state, StateOf(db.get(), index.name));
    if (state == State::kValid) continue;
    VD_ASSIGN_OR_RETURN(const int64_t ours, db->QueryInt(kTryLock));
    if (ours == 0) return absl::UnavailableError("store: another node makes the indexes");
    const absl::Status made = Make(db.get(), index);
    if (stopping_.HasBeenNotified()) return false;
    if (!made.ok()) Tell(made);
    if (db->broken()) return made;
    all = all && made.ok();
  }
  return all;
}

void PostgresIndexes::Tell(const absl::Status& status) {
  if (!told_) {
    log_->Warning("store", "cannot make an index, it is tried again",
                  {{"error", std::string(status.message())}});
  }
  told_ = true;
}

// The index of all events is none until each partition has its part.
absl::Status PostgresIndexes::Make(PgConnection* db, const Index& index) {
  if (*index.before != '\0') VD_RETURN_IF_ERROR(db->Exec(index.before));
  if (*index.suffix == '\0') {
    return MakeOn(db, index, std::string(index.name), "health_reports");
  }
  VD_ASSIGN_OR_RETURN(const State state, StateOf(db, index.name));
  if (state == State::kMissing) {
    VD_RETURN_IF_ERROR(db->Exec(absl::StrCat(kShortly, "CREATE INDEX ", AbslView(index.name),
                                             " ON ONLY lpr_events ", index.columns)));
  }
  VD_ASSIGN_OR_RETURN(const PgResult bare,
                      db->Run(kBare, PgParams().Add(index.name), "cannot look for partitions"));
  for (int row = 0; row < bare.rows(); ++row) {
    VD_RETURN_IF_ERROR(MakeIn(db, index, bare.Text(row, 0)));
  }
  log_->Info("store", "an index of events is made", {{"index", std::string(index.name)}});
  return absl::OkStatus();
}

absl::Status PostgresIndexes::MakeIn(PgConnection* db, const Index& index,
                                     const std::string& partition) {
  const std::string name = absl::StrCat(partition, index.suffix);
  VD_RETURN_IF_ERROR(MakeOn(db, index, name, partition));
  return db->Exec(absl::StrCat("ALTER INDEX ", AbslView(index.name), " ATTACH PARTITION ", name));
}

// One that is not valid is what an interruption left.
absl::Status PostgresIndexes::MakeOn(PgConnection* db, const Index& index, const std::string& name,
                                     const std::string& table) {
  VD_ASSIGN_OR_RETURN(const State state, StateOf(db, name));
  VD_RETURN_IF_ERROR(db->Exec(kPatiently));
  if (state == State::kInvalid) {
    VD_RETURN_IF_ERROR(
        db->ExecLong(absl::StrCat("DROP INDEX CONCURRENTLY ", name), kBuildLimit, stopping_));
  }
  if (state != State::kValid) {
    VD_RETURN_IF_ERROR(db->ExecLong(
        absl::StrCat("CREATE INDEX CONCURRENTLY ", name, " ON ", table, " ", index.columns),
        kBuildLimit, stopping_));
  }
  return db->Exec(kShortly);
}

}  // namespace viaduct
