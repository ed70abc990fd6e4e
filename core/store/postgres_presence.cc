#include "core/store/postgres_presence.h"

#include <algorithm>
#include <utility>

#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/store/postgres_writer.h"

namespace viaduct {
namespace {

constexpr int64_t kMaxRowsAtOnce = 1'000;

// Every change of a node's cameras has a number that grows with its commits, because the node's row
// is locked; followers ask for what is newer than what they have.
constexpr std::string_view kNextVersion =
    "INSERT INTO node_presence (writer, version) VALUES ($1, 1) ON CONFLICT (writer) DO UPDATE SET "
    "version = node_presence.version + 1 RETURNING version";
constexpr std::string_view kWriteCameras =
    "INSERT INTO node_cameras (writer, camera_id, checkpoint_id, online, announced, changed_at, "
    "version) SELECT DISTINCT ON (t.a) $1, t.a, t.b, t.c, t.d, t.e, $2 FROM unnest($3::text[], "
    "$4::text[], $5::boolean[], $6::boolean[], $7::timestamptz[]) AS t(a, b, c, d, e) ON CONFLICT "
    "(writer, camera_id) DO UPDATE SET checkpoint_id = excluded.checkpoint_id, online = "
    "excluded.online, announced = excluded.announced, changed_at = excluded.changed_at, version = "
    "excluded.version";
// What an earlier life of this node left, or a session that nobody remembers.
constexpr std::string_view kEndOthers =
    "UPDATE node_cameras SET online = false, announced = false, changed_at = now(), version = $2 "
    "WHERE writer = $1 AND online AND camera_id <> ALL($3)";
constexpr std::string_view kWriteSilences =
    "INSERT INTO node_silences (writer, camera_id, version) SELECT DISTINCT $1::int, t.a, "
    "$2::bigint FROM unnest($3::text[], $4::boolean[]) AS t(a, b) WHERE t.b ON CONFLICT (writer, "
    "camera_id) DO UPDATE SET version = excluded.version";
constexpr std::string_view kReadCameras =
    "SELECT c.camera_id, c.checkpoint_id, c.online, c.announced, c.changed_at, c.version, "
    "s.version IS NOT NULL FROM node_cameras c LEFT JOIN node_silences s USING (writer, camera_id, "
    "version) WHERE writer = $1 AND (version, camera_id) > ($2, $3) AND version <= $4 AND "
    "(c.online OR $5) ORDER BY version, camera_id LIMIT $6";

}  // namespace

bool PostgresPresence::Note(const CameraPresence& change) {
  const absl::MutexLock lock(&mutex_);
  const auto known = cameras_.find(change.camera_id);
  if (known == cameras_.end() && cameras_.size() >= kMaxCameras) return false;
  Camera* const camera = known != cameras_.end() ? &known->second : &cameras_[change.camera_id];
  if (!change.checkpoint_id.empty()) camera->checkpoint_id = change.checkpoint_id;
  camera->announced = change.announced && change.online && !camera->online;
  camera->silent = change.announced && !change.online && !camera->online;
  if (!change.announced) camera->online = change.online;
  camera->at = change.at;
  camera->dirty = dirty_ = true;
  camera->change = ++changes_;
  return true;
}

bool PostgresPresence::dirty() const {
  const absl::MutexLock lock(&mutex_);
  return dirty_;
}

void PostgresPresence::LeaveAll(absl::Time now) {
  const absl::MutexLock lock(&mutex_);
  for (auto& [id, camera] : cameras_) {
    if (!camera.online) continue;
    camera.online = false;
    camera.at = now;
    camera.dirty = dirty_ = true;
    camera.change = ++changes_;
  }
}

PostgresPresence::Batch PostgresPresence::Changes() const {
  Batch batch;
  const absl::MutexLock lock(&mutex_);
  batch.last_change = changes_;
  for (const auto& [id, camera] : cameras_) {
    if (!camera.dirty && !(anew_ && camera.online)) continue;
    batch.cameras.Add(std::string_view(id));
    batch.checkpoints.Add(std::string_view(camera.checkpoint_id));
    batch.online.Add(camera.online);
    batch.announced.Add(camera.announced);
    batch.silent.Add(camera.silent);
    batch.any_silent = batch.any_silent || camera.silent;
    batch.changed.Add(camera.at);
  }
  return batch;
}

void PostgresPresence::NoteWritten(uint64_t last_change) {
  const absl::MutexLock lock(&mutex_);
  dirty_ = changes_ != last_change;
  for (auto at = cameras_.begin(); at != cameras_.end();) {
    const auto camera = at++;
    if (camera->second.change > last_change) continue;
    camera->second.dirty = camera->second.announced = camera->second.silent = false;
    if (!camera->second.online) cameras_.erase(camera);
  }
}

absl::Status PostgresPresence::WriteRows(PgConnection* db, int64_t writer, const Batch& batch) {
  VD_ASSIGN_OR_RETURN(const PgResult row,
                      db->Run(kNextVersion, PgParams().Add(writer), "cannot note cameras"));
  const int64_t version = row.Int(0, 0);
  if (anew_) {
    VD_RETURN_IF_ERROR(db->Run(kEndOthers, PgParams().Add(writer).Add(version).Add(batch.cameras),
                               "cannot end sessions")
                           .status());
  }
  PgParams params;
  params.Add(writer).Add(version).Add(batch.cameras).Add(batch.checkpoints).Add(batch.online);
  params.Add(batch.announced).Add(batch.changed);
  VD_RETURN_IF_ERROR(db->Run(kWriteCameras, params, "cannot note cameras").status());
  if (batch.any_silent) {
    VD_RETURN_IF_ERROR(
        db->Run(kWriteSilences,
                PgParams().Add(writer).Add(version).Add(batch.cameras).Add(batch.silent),
                "cannot note silent cameras")
            .status());
  }
  return db
      ->Run("SELECT pg_notify($1, $2)",
            PgParams().Add(kPostgresChannel).Add(std::to_string(writer)), "cannot notify")
      .status();
}

absl::Status PostgresPresence::Write(PgConnection* db, int64_t writer) {
  const Batch batch = Changes();
  VD_RETURN_IF_ERROR(db->Exec("BEGIN"));
  absl::Status status = WriteRows(db, writer, batch);
  if (status.ok()) status = db->Exec("COMMIT");
  if (!status.ok()) {
    if (!db->broken() && db->InTransaction()) db->Exec("ROLLBACK").IgnoreError();
    return status;
  }
  anew_ = false;
  NoteWritten(batch.last_change);
  return absl::OkStatus();
}

void PostgresCameras::BeginAnew() {
  for (auto& [id, followed] : nodes_) followed.heard_ns = clock_->MonotonicNanos();
}

bool PostgresCameras::Hear(const Node& node, bool known, Followed* followed) const {
  const int64_t now = clock_->MonotonicNanos();
  if (!known || node.beat != followed->beat) {
    followed->alive = known || node.alive;
    followed->beat = node.beat;
    followed->heard_ns = now;
  } else if (absl::Nanoseconds(now - followed->heard_ns) > lease_) {
    followed->alive = false;
  }
  return followed->alive;
}

absl::Status PostgresCameras::Follow(PgConnection* db, const Node& node,
                                     std::vector<CameraPresence>* changes) {
  const auto [at, added] = nodes_.try_emplace(node.id);
  Followed* const followed = &at->second;
  // A database that was restored may have older numbers.
  if (!Hear(node, !added, followed) || node.version < followed->version) Drop(followed, changes);
  if (!followed->alive) return absl::OkStatus();
  if (node.version != followed->version) {
    VD_RETURN_IF_ERROR(ReadChanges(db, node, followed, changes));
  }
  followed->current = true;
  return absl::OkStatus();
}

absl::Status PostgresCameras::ReadChanges(PgConnection* db, const Node& node, Followed* followed,
                                          std::vector<CameraPresence>* changes) {
  const bool all = followed->current;  // Who begins has nothing to end.
  int64_t version = followed->version;
  std::string camera = "\xf4\x8f\xbf\xbf";  // The last there is: what has this version is known.
  while (true) {
    PgParams params;
    params.Add(node.id).Add(version).Add(camera).Add(node.version).Add(all).Add(kMaxRowsAtOnce);
    VD_ASSIGN_OR_RETURN(const PgResult rows,
                        db->Run(kReadCameras, params, "cannot follow cameras"));
    for (int row = 0; row < rows.rows(); ++row) {
      CameraPresence change;
      change.camera_id = camera = rows.Text(row, 0);
      change.checkpoint_id = rows.Text(row, 1);
      change.online = rows.Bool(row, 2);
      change.announced = rows.Bool(row, 3) || rows.Bool(row, 6);
      change.online = change.online || rows.Bool(row, 3);
      change.at = rows.Time(row, 4);
      version = rows.Int(row, 5);
      Apply(change, followed, changes);
    }
    if (rows.rows() < kMaxRowsAtOnce) break;
  }
  followed->version = node.version;
  return absl::OkStatus();
}

void PostgresCameras::Apply(const CameraPresence& change, Followed* followed,
                            std::vector<CameraPresence>* changes) {
  if (change.announced) {
    CameraPresence ended = change;  // Its last session may have ended before.
    ended.announced = ended.online = false;
    const size_t before = changes->size();
    Apply(ended, followed, changes);
    // That it is offline is told once.
    if (change.online || changes->size() == before) changes->push_back(change);
    return;
  }
  if (change.online) {
    const bool added =
        followed->cameras.insert_or_assign(change.camera_id, change.checkpoint_id).second;
    if (added && ++online_[change.camera_id] == 1) changes->push_back(change);
    return;
  }
  if (followed->cameras.erase(change.camera_id) == 0) return;
  const auto count = online_.find(change.camera_id);
  if (--count->second > 0) return;
  online_.erase(count);
  changes->push_back(change);
}

// When it was last heard is known to the length of the lease; what a camera said since then by
// another way counts for more.
void PostgresCameras::Drop(Followed* followed, std::vector<CameraPresence>* changes) {
  followed->version = 0;
  followed->current = false;
  const std::vector<std::pair<std::string, std::string>> cameras(followed->cameras.begin(),
                                                                 followed->cameras.end());
  for (const auto& [id, checkpoint] : cameras) {
    CameraPresence change;
    change.camera_id = id;
    change.checkpoint_id = checkpoint;
    change.at = clock_->Now() - lease_ / 2;
    Apply(change, followed, changes);
  }
}

}  // namespace viaduct
