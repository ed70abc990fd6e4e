// Files that devices send beside their messages.
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/store/file_records.h"
#include "core/store/page_cursor.h"
#include "core/store/sqlite_writer.h"

namespace viaduct {
namespace {

int64_t Millis(absl::Time time) { return absl::ToUnixMillis(time); }

}  // namespace

absl::Status SqliteWriter::PrepareFiles() {
  const auto prepare = [this](SqliteStatement* out, std::string_view sql) -> absl::Status {
    VD_ASSIGN_OR_RETURN(*out, db_->Prepare(sql));
    return absl::OkStatus();
  };
  VD_RETURN_IF_ERROR(
      prepare(&announce_file_,
              "INSERT INTO file_transfers (transfer_id, device_id, message_id, message_key, kind, "
              "place, name, size, sha256, captured_at, announced_at, node_id)"
              " VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (transfer_id) DO NOTHING"));
  VD_RETURN_IF_ERROR(
      prepare(&announce_again_,
              "UPDATE file_transfers SET message_id = ?3, message_key = ?4, kind = ?5, place = ?6, "
              "name = ?7, size = ?8, sha256 = ?9, captured_at = ?10, announced_at = ?11, node_id = "
              "?12, status = 'waiting', detail = '', settled_at = NULL WHERE transfer_id = ?1 AND "
              "device_id = ?2 AND status <> 'stored'"));
  VD_RETURN_IF_ERROR(
      prepare(&find_file_, "SELECT device_id, status FROM file_transfers WHERE transfer_id = ?"));
  VD_RETURN_IF_ERROR(prepare(&settle_file_,
                             "UPDATE file_transfers SET status = ?3, detail = ?4, path = ?5, "
                             "settled_at = ?6 WHERE transfer_id = ?1 AND sha256 = ?2 AND status <> "
                             "'stored'"));
  VD_RETURN_IF_ERROR(
      prepare(&stored_file_,
              "SELECT f.kind, f.place, f.path, d.id, f.message_key FROM file_transfers f JOIN "
              "detections d ON d.message_key = f.message_key WHERE f.transfer_id = ?"));
  VD_RETURN_IF_ERROR(prepare(&files_of_,
                             "SELECT kind, place, path FROM file_transfers WHERE message_key = ? "
                             "AND status = 'stored' ORDER BY id"));
  VD_RETURN_IF_ERROR(prepare(
      &set_image_, "UPDATE detections SET image_path = ?2 WHERE id = ?1 AND image_path IS NULL"));
  VD_RETURN_IF_ERROR(prepare(&set_event_images_,
                             "UPDATE lpr_events SET image_path = ?3 WHERE event_id > ?1 AND "
                             "event_id < ?2 AND image_path IS NULL"));
  VD_RETURN_IF_ERROR(prepare(&plate_images_, "SELECT plate_images FROM detections WHERE id = ?"));
  VD_RETURN_IF_ERROR(
      prepare(&set_plate_images_, "UPDATE detections SET plate_images = ?2 WHERE id = ?1"));
  VD_RETURN_IF_ERROR(prepare(&set_plate_image_,
                             "UPDATE lpr_events SET image_path = ?2 WHERE event_id = ?1 AND "
                             "license_plate IS NOT NULL AND (image_path IS NULL OR image_path = "
                             "(SELECT image_path FROM detections WHERE id = ?3))"));
  VD_RETURN_IF_ERROR(prepare(&add_place_,
                             "INSERT INTO plate_places (event_id, place) VALUES (?, ?) ON CONFLICT "
                             "(event_id) DO NOTHING"));
  return prepare(&places_,
                 "SELECT event_id, place FROM plate_places WHERE event_id > ? AND event_id < ?");
}

absl::Status SqliteWriter::NotePlace(std::string_view event_id, size_t place) {
  add_place_.Bind(1, event_id);
  add_place_.Bind(2, static_cast<int64_t>(place));
  return add_place_.Run("cannot store the place of a plate");
}

absl::Status SqliteWriter::Apply(const FileTransferRecord& r, AppendResult* result) {
  result->id = r.transfer_id;
  return r.action == FileTransferRecord::Action::kAnnounce ? Announce(r, result)
                                                           : Settle(r, result);
}

absl::Status SqliteWriter::Announce(const FileTransferRecord& r, AppendResult* result) {
  VD_ASSIGN_OR_RETURN(const int64_t device, FindOrAddDevice(r.device_id, r.at));
  const auto run = [&r](SqliteStatement* statement) {
    statement->Bind(1, std::string_view(r.transfer_id));
    statement->Bind(2, std::string_view(r.device_id));
    statement->Bind(3, std::string_view(r.message_id));
    HasKey(r) ? statement->BindBlob(4, r.message_key.data(), r.message_key.size())
              : statement->BindNull(4);
    statement->Bind(5, FileKindName(r.kind));
    statement->Bind(6, int64_t{r.place});
    statement->Bind(7, std::string_view(r.name));
    statement->Bind(8, static_cast<int64_t>(r.size));
    statement->Bind(9, std::string_view(r.sha256));
    statement->Bind(10, Millis(r.captured_at));
    statement->Bind(11, Millis(r.at));
    statement->Bind(12, std::string_view(r.node_id));
    return statement->Run("cannot store a file transfer");
  };
  VD_RETURN_IF_ERROR(run(&announce_file_));
  result->duplicate = db_->Changes() == 0;
  if (result->duplicate) {
    VD_RETURN_IF_ERROR(run(&announce_again_));
    if (db_->Changes() == 0) VD_RETURN_IF_ERROR(AnnounceAgain(r, result));
  }
  any_files_ = true;
  if (result->status.ok()) Touch(device, r.at, "", "");
  return absl::OkStatus();
}

// It is stored, or of another device.
absl::Status SqliteWriter::AnnounceAgain(const FileTransferRecord& r, AppendResult* result) {
  const StatementScope scope(&find_file_);
  find_file_.Bind(1, std::string_view(r.transfer_id));
  VD_ASSIGN_OR_RETURN(const bool found, find_file_.Next("cannot look up a file transfer"));
  if (!found || find_file_.View(0) != r.device_id) result->status = OfAnotherDevice(r);
  return absl::OkStatus();
}

absl::Status SqliteWriter::Settle(const FileTransferRecord& r, AppendResult* result) {
  SqliteStatement& settle = settle_file_;
  settle.Bind(1, std::string_view(r.transfer_id));
  settle.Bind(2, std::string_view(r.sha256));
  settle.Bind(3, FileStateName(r.state));
  settle.Bind(4, std::string_view(r.detail));
  settle.BindTextOrNull(5, r.path);
  r.state == FileState::kWaiting ? settle.BindNull(6) : settle.Bind(6, Millis(r.at));
  VD_RETURN_IF_ERROR(settle.Run("cannot settle a file transfer"));
  if (db_->Changes() > 0) {
    return r.state == FileState::kStored ? JoinStored(r.transfer_id) : absl::OkStatus();
  }
  const StatementScope scope(&find_file_);
  find_file_.Bind(1, std::string_view(r.transfer_id));
  VD_ASSIGN_OR_RETURN(const bool found, find_file_.Next("cannot look up a file transfer"));
  result->duplicate = found && find_file_.View(1) == FileStateName(FileState::kStored);
  if (!result->duplicate) result->status = NothingToSettle(r);
  return absl::OkStatus();
}

// The detection may be there already.
absl::Status SqliteWriter::JoinStored(const std::string& transfer_id) {
  StoredFile file;
  MessageKey key{};
  int64_t detection = 0;
  {
    const StatementScope scope(&stored_file_);
    stored_file_.Bind(1, std::string_view(transfer_id));
    VD_ASSIGN_OR_RETURN(const bool there, stored_file_.Next("cannot look for a detection"));
    if (!there) return absl::OkStatus();
    if (stored_file_.View(0) == FileKindName(FileTransferRecord::Kind::kFile)) {
      return absl::OkStatus();
    }
    file.plate = stored_file_.View(0) == FileKindName(FileTransferRecord::Kind::kPlate);
    file.place = stored_file_.Int(1);
    file.path = stored_file_.Text(2);
    detection = stored_file_.Int(3);
    KeyFromOctets(stored_file_.View(4), &key);
  }
  return JoinFile(file, key, detection);
}

// Most stores have no files, and then a detection costs nothing here.
absl::Status SqliteWriter::JoinFilesOf(const MessageKey& key, int64_t detection) {
  if (!any_files_.has_value()) {
    VD_ASSIGN_OR_RETURN(const int64_t any,
                        db_->QueryInt("SELECT EXISTS (SELECT 1 FROM file_transfers)"));
    any_files_ = any != 0;
  }
  if (!*any_files_) return absl::OkStatus();
  std::vector<StoredFile> files;
  {
    const StatementScope scope(&files_of_);
    files_of_.BindBlob(1, key.data(), key.size());
    while (true) {
      VD_ASSIGN_OR_RETURN(const bool more, files_of_.Next("cannot look for files"));
      if (!more) break;
      if (files_of_.View(0) == FileKindName(FileTransferRecord::Kind::kFile)) continue;
      files.push_back({files_of_.View(0) == FileKindName(FileTransferRecord::Kind::kPlate),
                       files_of_.Int(1), files_of_.Text(2)});
    }
  }
  for (const StoredFile& file : files) VD_RETURN_IF_ERROR(JoinFile(file, key, detection));
  return absl::OkStatus();
}

// An image that is there already stays.
absl::Status SqliteWriter::JoinFile(const StoredFile& file, const MessageKey& key,
                                    int64_t detection) {
  const std::string id = FormatKey(key);
  if (file.plate) return JoinPlate(file, id, detection);
  set_image_.Bind(1, detection);
  set_image_.Bind(2, std::string_view(file.path));
  VD_RETURN_IF_ERROR(set_image_.Run("cannot join an image"));
  if (db_->Changes() == 0) return absl::OkStatus();
  const std::string first = absl::StrCat(id, "-");
  const std::string past = absl::StrCat(id, ".");  // '.' follows '-'.
  set_event_images_.Bind(1, std::string_view(first));
  set_event_images_.Bind(2, std::string_view(past));
  set_event_images_.Bind(3, std::string_view(file.path));
  return set_event_images_.Run("cannot join an image");
}

absl::Status SqliteWriter::JoinPlate(const StoredFile& file, std::string_view detection_id,
                                     int64_t detection) {
  std::string lines;
  {
    const StatementScope scope(&plate_images_);
    plate_images_.Bind(1, detection);
    VD_ASSIGN_OR_RETURN(const bool there, plate_images_.Next("cannot read plate images"));
    if (!there) return absl::OkStatus();
    lines = plate_images_.Text(0);
  }
  if (!SetLine(static_cast<size_t>(file.place), file.path, &lines)) return absl::OkStatus();
  set_plate_images_.Bind(1, detection);
  set_plate_images_.Bind(2, std::string_view(lines));
  VD_RETURN_IF_ERROR(set_plate_images_.Run("cannot join the image of a plate"));
  VD_ASSIGN_OR_RETURN(const std::string event, EventOfPlate(detection_id, file.place));
  if (event.empty()) return absl::OkStatus();
  set_plate_image_.Bind(1, std::string_view(event));
  set_plate_image_.Bind(2, std::string_view(file.path));
  set_plate_image_.Bind(3, detection);
  return set_plate_image_.Run("cannot join the image of a plate");
}

absl::StatusOr<std::string> SqliteWriter::EventOfPlate(std::string_view detection_id,
                                                       int64_t place) {
  const std::string first = absl::StrCat(AbslView(detection_id), "-");
  const std::string past = absl::StrCat(AbslView(detection_id), ".");
  PlateEvent event(detection_id, place);
  const StatementScope scope(&places_);
  places_.Bind(1, std::string_view(first));
  places_.Bind(2, std::string_view(past));
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool more, places_.Next("cannot read the places of plates"));
    if (!more) return event.id();
    event.See(places_.View(0), places_.Int(1));
  }
}

}  // namespace viaduct
