// Files that devices send beside their messages.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/store/file_records.h"
#include "core/store/postgres_writer.h"

namespace viaduct {
namespace {

constexpr std::string_view kAnnounce =
    "INSERT INTO file_transfers (transfer_id, device_id, message_id, message_key, kind, place, "
    "name, size, sha256, captured_at, announced_at, node_id) VALUES ($1, $2, $3, $4, $5, $6, $7, "
    "$8, $9, $10, $11, $12) ON CONFLICT (transfer_id) DO NOTHING";
constexpr std::string_view kAnnounceAgain =
    "UPDATE file_transfers SET message_id = $3, message_key = $4, kind = $5, place = $6, name = "
    "$7, size = $8, sha256 = $9, captured_at = $10, announced_at = $11, node_id = $12, status = "
    "'waiting', detail = '', settled_at = NULL WHERE transfer_id = $1 AND device_id = $2 AND "
    "status <> 'stored'";
constexpr std::string_view kFind =
    "SELECT device_id, status FROM file_transfers WHERE transfer_id = $1";
constexpr std::string_view kSeen =
    "UPDATE edge_devices SET last_seen = $2, status = CASE status WHEN 'offline' THEN 'online' "
    "ELSE status END WHERE device_id = $1";
constexpr std::string_view kSettle =
    "UPDATE file_transfers SET status = $3, detail = $4, path = $5, settled_at = $6 WHERE "
    "transfer_id = $1 AND sha256 = $2 AND status <> 'stored'";
constexpr std::string_view kStored =
    "SELECT f.kind, f.place, f.path, d.id, d.message_key FROM file_transfers f JOIN detections d "
    "ON d.message_key = f.message_key WHERE f.transfer_id = $1 AND f.kind <> 'file'";
constexpr std::string_view kFilesOf =
    "SELECT kind, place, path FROM file_transfers WHERE message_key = $1 AND status = 'stored' AND "
    "kind <> 'file' ORDER BY id";
constexpr std::string_view kSetImage =
    "UPDATE detections SET image_path = $2 WHERE id = $1 AND image_path IS NULL";
constexpr std::string_view kSetEventImages =
    "UPDATE lpr_events SET image_path = $3 WHERE event_id > $1 AND event_id < $2 AND image_path IS "
    "NULL";
constexpr std::string_view kSetPlateImage =
    "UPDATE lpr_events SET image_path = $2 WHERE event_id = $1 AND license_plate IS NOT NULL AND "
    "(image_path IS NULL OR image_path = (SELECT image_path FROM detections WHERE id = $3))";
constexpr std::string_view kPlaces =
    "SELECT event_id, place FROM plate_places WHERE event_id > $1 AND event_id < $2";

bool IsPlate(std::string_view kind) {
  return kind == FileKindName(FileTransferRecord::Kind::kPlate);
}

}  // namespace

absl::Status PostgresWriter::Edit(const FileTransferRecord& r, Slot* slot) {
  slot->result->id = r.transfer_id;
  return r.action == FileTransferRecord::Action::kAnnounce ? Announce(r, slot->result)
                                                           : Settle(r, slot->result);
}

absl::Status PostgresWriter::Announce(const FileTransferRecord& r, AppendResult* result) {
  PgArray ids(PgType::kText), times(PgType::kTime);
  ids.Add(r.device_id);
  times.Add(r.at);
  VD_RETURN_IF_ERROR(AddDevices(ids, times));
  PgParams params;
  params.Add(r.transfer_id).Add(r.device_id).Add(r.message_id);
  HasKey(r) ? params.Add(r.message_key) : params.AddNull(PgType::kUuid);
  params.Add(FileKindName(r.kind)).Add(int64_t{r.place}).Add(r.name);
  params.Add(static_cast<int64_t>(r.size)).Add(r.sha256).Add(r.captured_at).Add(r.at);
  params.Add(r.node_id);
  VD_ASSIGN_OR_RETURN(const PgResult added,
                      db_->Run(kAnnounce, params, "cannot store a file transfer"));
  result->duplicate = added.affected() == 0;
  if (result->duplicate) {
    VD_ASSIGN_OR_RETURN(const PgResult again,
                        db_->Run(kAnnounceAgain, params, "cannot store a file transfer"));
    if (again.affected() == 0) VD_RETURN_IF_ERROR(AnnounceAgain(r, result));
  }
  if (!result->status.ok()) return absl::OkStatus();
  return db_->Run(kSeen, PgParams().Add(r.device_id).Add(r.at), "cannot mark a device as seen")
      .status();
}

// It is stored, or of another device.
absl::Status PostgresWriter::AnnounceAgain(const FileTransferRecord& r, AppendResult* result) {
  VD_ASSIGN_OR_RETURN(const PgResult row, db_->Run(kFind, PgParams().Add(r.transfer_id),
                                                   "cannot look up a file transfer"));
  if (row.rows() == 0 || row.View(0, 0) != r.device_id) result->status = OfAnotherDevice(r);
  return absl::OkStatus();
}

absl::Status PostgresWriter::Settle(const FileTransferRecord& r, AppendResult* result) {
  PgParams params;
  params.Add(r.transfer_id).Add(r.sha256).Add(FileStateName(r.state)).Add(r.detail);
  params.AddTextOrNull(r.path);
  r.state == FileState::kWaiting ? params.AddNull(PgType::kTime) : params.Add(r.at);
  VD_ASSIGN_OR_RETURN(const PgResult settled,
                      db_->Run(kSettle, params, "cannot settle a file transfer"));
  const PgParams id = PgParams().Add(r.transfer_id);
  if (settled.affected() == 0) {
    VD_ASSIGN_OR_RETURN(const PgResult row, db_->Run(kFind, id, "cannot look up a file transfer"));
    result->duplicate = row.rows() > 0 && row.View(0, 1) == FileStateName(FileState::kStored);
    if (!result->duplicate) result->status = NothingToSettle(r);
    return absl::OkStatus();
  }
  if (r.state != FileState::kStored) return absl::OkStatus();
  VD_ASSIGN_OR_RETURN(const PgResult row, db_->Run(kStored, id, "cannot look for a detection"));
  if (row.rows() == 0) return absl::OkStatus();
  return JoinFile({IsPlate(row.View(0, 0)), row.Int(0, 1), row.Text(0, 2), row.Int(0, 3),
                   FormatKey(row.Key(0, 4))});
}

// Of plates whose number is another one than their place.
absl::Status PostgresWriter::WritePlaces(absl::Span<const Row<DetectionRecord>> rows) {
  PgArray events(PgType::kText), places(PgType::kInt8);
  for (const auto& row : rows) {
    const std::vector<PlateRead>& plates = row.record->plates;
    for (size_t i = 0; row.id != 0 && i < plates.size(); ++i) {
      if (plates[i].place == i) continue;
      events.Add(absl::StrCat(row.slot->result->id, "-", i + 1));
      places.Add(static_cast<int64_t>(plates[i].place));
    }
  }
  if (events.size() == 0) return absl::OkStatus();
  return db_
      ->Run(
          "INSERT INTO plate_places (event_id, place) SELECT t.e, t.p FROM unnest($1::text[], "
          "$2::bigint[]) AS t(e, p) ON CONFLICT (event_id) DO NOTHING",
          PgParams().Add(events).Add(places), "cannot store the place of a plate")
      .status();
}

absl::Status PostgresWriter::JoinFilesOf(absl::Span<const Row<DetectionRecord>> rows) {
  for (const auto& row : rows) {
    if (row.id == 0 || !row.has_files) continue;
    VD_ASSIGN_OR_RETURN(const PgResult files, db_->Run(kFilesOf, PgParams().Add(row.record->key),
                                                       "cannot look for files"));
    for (int i = 0; i < files.rows(); ++i) {
      VD_RETURN_IF_ERROR(JoinFile({IsPlate(files.View(i, 0)), files.Int(i, 1), files.Text(i, 2),
                                   row.id, row.slot->result->id}));
    }
  }
  return absl::OkStatus();
}

// An image that is there already stays.
absl::Status PostgresWriter::JoinFile(const StoredFile& file) {
  if (file.plate) return JoinPlate(file);
  VD_ASSIGN_OR_RETURN(
      const PgResult set,
      db_->Run(kSetImage, PgParams().Add(file.detection).Add(file.path), "cannot join an image"));
  if (set.affected() == 0) return absl::OkStatus();
  PgParams params;
  params.Add(absl::StrCat(file.detection_id, "-"));
  params.Add(absl::StrCat(file.detection_id, "."));  // '.' follows '-'.
  params.Add(file.path);
  return db_->Run(kSetEventImages, params, "cannot join an image").status();
}

absl::Status PostgresWriter::JoinPlate(const StoredFile& file) {
  constexpr char kWhat[] = "cannot join the image of a plate";
  VD_ASSIGN_OR_RETURN(const PgResult row,
                      db_->Run("SELECT plate_images FROM detections WHERE id = $1",
                               PgParams().Add(file.detection), kWhat));
  if (row.rows() == 0) return absl::OkStatus();
  std::string lines = row.Text(0, 0);
  if (!SetLine(static_cast<size_t>(file.place), file.path, &lines)) return absl::OkStatus();
  VD_RETURN_IF_ERROR(db_->Run("UPDATE detections SET plate_images = $2 WHERE id = $1",
                              PgParams().Add(file.detection).Add(lines), kWhat)
                         .status());
  VD_ASSIGN_OR_RETURN(const std::string event, EventOfPlate(file.detection_id, file.place));
  if (event.empty()) return absl::OkStatus();
  return db_->Run(kSetPlateImage, PgParams().Add(event).Add(file.path).Add(file.detection), kWhat)
      .status();
}

absl::StatusOr<std::string> PostgresWriter::EventOfPlate(const std::string& detection_id,
                                                         int64_t place) {
  const PgParams range =
      PgParams().Add(absl::StrCat(detection_id, "-")).Add(absl::StrCat(detection_id, "."));
  VD_ASSIGN_OR_RETURN(const PgResult rows,
                      db_->Run(kPlaces, range, "cannot read the places of plates"));
  PlateEvent event(detection_id, place);
  for (int i = 0; i < rows.rows(); ++i) event.See(rows.View(i, 0), rows.Int(i, 1));
  return event.id();
}

}  // namespace viaduct
