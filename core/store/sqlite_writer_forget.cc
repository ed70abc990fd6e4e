// Rows that go for good.
#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/store/sqlite_writer.h"

namespace viaduct {
namespace {

// The next detection of a source mostly stands near. Further on it is not looked for: who meets the
// end of a list that is none reads the table instead, as after damage.
constexpr int kMaxLookAhead = 10'000;

}  // namespace

absl::Status SqliteWriter::RunWith(const char* sql, std::initializer_list<int64_t> values) {
  VD_ASSIGN_OR_RETURN(SqliteStatement statement, db_->Prepare(sql));
  int index = 0;
  for (const int64_t value : values) statement.Bind(++index, value);
  return statement.Run("cannot forget a row");
}

absl::Status SqliteWriter::RunWith(const char* sql, std::string_view first, std::string_view past) {
  VD_ASSIGN_OR_RETURN(SqliteStatement statement, db_->Prepare(sql));
  statement.Bind(1, first);
  statement.Bind(2, past);
  return statement.Run("cannot forget a row");
}

absl::Status SqliteWriter::Apply(const ForgetRecord& r, AppendResult* result) {
  const size_t count = r.ids.size() + r.event_ids.size();
  if (count > ForgetRecord::kMaxIds) {
    return absl::InvalidArgumentError(
        absl::StrCat("forget: too many, ", count, ", limit ", ForgetRecord::kMaxIds));
  }
  int64_t gone = 0;
  absl::Status status;
  switch (r.table) {
    case KeptTable::kDetections:
      status = ForgetDetections(r, &gone);
      break;
    case KeptTable::kEvents:
      status = ForgetEvents(r, &gone);
      break;
    case KeptTable::kDevices:
      status = ForgetDevices(r, &gone);
      break;
    default:
      status = ForgetRows(r, &gone);
  }
  result->id = absl::StrCat(gone);
  return status;
}

absl::Status SqliteWriter::ForgetRows(const ForgetRecord& r, int64_t* gone) {
  const std::string sql =
      absl::StrCat("DELETE FROM ", std::string(KeptTableName(r.table)), " WHERE id = ?");
  VD_ASSIGN_OR_RETURN(SqliteStatement erase, db_->Prepare(sql));
  for (const int64_t id : r.ids) {
    erase.Bind(1, id);
    VD_RETURN_IF_ERROR(erase.Run("cannot forget a row"));
    *gone += db_->Changes();
  }
  if (r.table == KeptTable::kHealth) effects_.health_reports -= *gone;
  if (r.table == KeptTable::kFileTransfers) any_files_.reset();
  return absl::OkStatus();
}

absl::Status SqliteWriter::ForgetDetections(const ForgetRecord& r, int64_t* gone) {
  sources_.clear();  // Their newest may go.
  int64_t last = 0;
  for (const int64_t id : r.ids) {
    bool found = false;
    VD_RETURN_IF_ERROR(ForgetDetection(id, r.only_images, &found));
    if (!found) continue;
    ++*gone;
    last = std::max(last, id);
  }
  if (r.only_images || last == 0) return absl::OkStatus();
  effects_.detections -= *gone;
  any_files_.reset();
  // A number is never given again: somebody may still point to it.
  return RunWith(
      "INSERT INTO counters VALUES ('reserved_ids', ?) ON CONFLICT (name) DO UPDATE SET value = "
      "max(value, excluded.value)",
      {last});
}

absl::Status SqliteWriter::ForgetDetection(int64_t id, bool only_images, bool* found) {
  VD_ASSIGN_OR_RETURN(
      SqliteStatement find,
      db_->Prepare("SELECT source, previous, message_key, arrived_at, plates_count FROM "
                   "detections WHERE id = ?"));
  find.Bind(1, id);
  VD_ASSIGN_OR_RETURN(*found, find.Next("cannot look up a detection"));
  if (!*found) return absl::OkStatus();
  const int64_t source = find.Int(0);
  const int64_t previous = find.Int(1);
  MessageKey key{};
  const std::string_view blob = find.View(2);
  if (blob.size() == key.size()) std::memcpy(key.data(), blob.data(), key.size());
  const int64_t arrived_ms = find.Int(3);
  const int64_t plates = find.Int(4);
  find.Reset();
  const std::string first = absl::StrCat(FormatKey(key), "-");
  const std::string past = absl::StrCat(FormatKey(key), ".");  // '.' follows '-'.
  if (only_images) {
    VD_RETURN_IF_ERROR(
        RunWith("UPDATE lpr_events SET image_path = NULL WHERE event_id >= ? AND event_id < ?",
                first, past));
    return RunWith("UPDATE detections SET image_path = NULL, plate_images = NULL WHERE id = ?",
                   {id});
  }
  VD_RETURN_IF_ERROR(
      RunWith("DELETE FROM plate_places WHERE event_id >= ? AND event_id < ?", first, past));
  VD_RETURN_IF_ERROR(
      RunWith("DELETE FROM lpr_events WHERE event_id >= ? AND event_id < ?", first, past));
  // One for each of the indexes.
  for (const char* status : {"stored", "waiting", "failed"}) {
    const std::string sql = absl::StrCat(
        "DELETE FROM file_transfers WHERE message_key = ? AND status = '", status, "'");
    VD_ASSIGN_OR_RETURN(SqliteStatement files, db_->Prepare(sql));
    files.BindBlob(1, key.data(), key.size());
    VD_RETURN_IF_ERROR(files.Run("cannot forget the files of a detection"));
  }
  VD_RETURN_IF_ERROR(RunWith("DELETE FROM detections WHERE id = ?", {id}));
  CountHour(source, arrived_ms, -1, -plates);
  return Unlink(id, source, previous);
}

// The list of the source goes on with what stood behind.
absl::Status SqliteWriter::Unlink(int64_t id, int64_t source, int64_t previous) {
  VD_RETURN_IF_ERROR(
      RunWith("UPDATE sources SET detections = detections - 1, newest = CASE newest WHEN ?2 THEN "
              "nullif(?3, 0) ELSE newest END WHERE id = ?1",
              {source, id, previous}));
  const auto grown = growth_.find(source);
  if (grown != growth_.end() && grown->second.newest == id) grown->second.newest = previous;
  return RunWith(
      absl::StrCat("UPDATE detections SET previous = nullif(?3, 0) WHERE previous = ?2 AND id = "
                   "(SELECT id FROM (SELECT id, source FROM detections WHERE id > ?2 ORDER BY id "
                   "LIMIT ",
                   kMaxLookAhead, ") WHERE source = ?1 LIMIT 1)")
          .c_str(),
      {source, id, previous});
}

absl::Status SqliteWriter::ForgetEvents(const ForgetRecord& r, int64_t* gone) {
  for (const std::string& id : r.event_ids) {
    VD_RETURN_IF_ERROR(RunWith("DELETE FROM plate_places WHERE event_id BETWEEN ? AND ?", id, id));
    VD_RETURN_IF_ERROR(RunWith("DELETE FROM lpr_events WHERE event_id BETWEEN ? AND ?", id, id));
    *gone += db_->Changes();
  }
  return absl::OkStatus();
}

// Only one of which nothing is left, also of this group.
absl::Status SqliteWriter::ForgetDevices(const ForgetRecord& r, int64_t* gone) {
  for (const int64_t id : r.ids) {
    VD_ASSIGN_OR_RETURN(SqliteStatement sources,
                        db_->Prepare("SELECT id, detections FROM sources WHERE device = ?"));
    sources.Bind(1, id);
    bool used = false;
    bool camera = false;
    while (true) {
      VD_ASSIGN_OR_RETURN(const bool more, sources.Next("cannot look up sources"));
      if (!more) break;
      camera = true;
      used = used || sources.Int(1) > 0 || growth_.contains(sources.Int(0));
    }
    sources.Reset();
    VD_ASSIGN_OR_RETURN(
        const int64_t others,
        db_->QueryInt(
            absl::StrCat("SELECT EXISTS (SELECT 1 FROM health_reports WHERE device = ", id,
                         ") OR EXISTS (SELECT 1 FROM device_messages WHERE device = ", id, ")")));
    if (used || others != 0) continue;
    VD_RETURN_IF_ERROR(RunWith("DELETE FROM sources WHERE device = ?", {id}));
    VD_RETURN_IF_ERROR(RunWith("DELETE FROM edge_devices WHERE id = ?", {id}));
    if (db_->Changes() == 0) continue;
    ++*gone;
    --effects_.devices;
    if (camera) --effects_.cameras;
  }
  devices_.clear();
  sources_.clear();
  return absl::OkStatus();
}

}  // namespace viaduct
