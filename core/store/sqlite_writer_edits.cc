// Records that people write: devices and events.
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/store/plate_key.h"
#include "core/store/sqlite_writer.h"

namespace viaduct {
namespace {

int64_t Millis(absl::Time time) { return absl::ToUnixMillis(time); }

}  // namespace

absl::Status SqliteWriter::PrepareEdits() {
  const auto prepare = [this](SqliteStatement* out, std::string_view sql) -> absl::Status {
    VD_ASSIGN_OR_RETURN(*out, db_->Prepare(sql));
    return absl::OkStatus();
  };
  VD_RETURN_IF_ERROR(prepare(&savepoint_, "SAVEPOINT record"));
  VD_RETURN_IF_ERROR(prepare(&release_, "RELEASE record"));
  VD_RETURN_IF_ERROR(prepare(&rollback_to_, "ROLLBACK TO record"));
  VD_RETURN_IF_ERROR(prepare(&find_device_, "SELECT id FROM edge_devices WHERE device_id = ?"));
  VD_RETURN_IF_ERROR(prepare(&add_device_,
                             "INSERT INTO edge_devices (device_id, created_at) VALUES (?, ?) "
                             "RETURNING id"));
  VD_RETURN_IF_ERROR(prepare(
      &find_source_, "SELECT id, newest FROM sources WHERE device = ? AND checkpoint_id = ?"));
  VD_RETURN_IF_ERROR(prepare(
      &add_source_, "INSERT INTO sources (device, checkpoint_id) VALUES (?, ?) RETURNING id"));
  VD_RETURN_IF_ERROR(
      prepare(&count_sources_, "SELECT count(*) FROM sources WHERE device = ? LIMIT 1"));
  VD_RETURN_IF_ERROR(prepare(
      &update_device_,
      "UPDATE edge_devices SET last_seen = coalesce(?2, last_seen), registered_at = "
      "coalesce(registered_at, ?3), checkpoint_id = coalesce(?4, checkpoint_id), name = "
      "coalesce(?5, name), hostname = coalesce(?6, hostname), ip_address = coalesce(?7, "
      "ip_address), status = CASE WHEN last_seen > ?11 THEN status WHEN ?8 IS NULL AND ?2 IS NOT "
      "NULL AND status = 'offline' THEN 'online' ELSE coalesce(?8, status) END, "
      "latitude = coalesce(?9, latitude), "
      "longitude = coalesce(?10, longitude) WHERE id = ?1"));
  VD_RETURN_IF_ERROR(prepare(&silence_device_,
                             "UPDATE edge_devices SET status = 'offline' WHERE device_id = ?1 AND "
                             "status = 'online' AND last_seen <= ?2"));
  VD_RETURN_IF_ERROR(
      prepare(&update_event_,
              "UPDATE lpr_events SET updated_at = ?2, edge_device_id = coalesce(?3, "
              "edge_device_id), license_plate = CASE WHEN ?4 IS NULL THEN license_plate ELSE "
              "nullif(?4, '') END, confidence = coalesce(?5, confidence), image_path = "
              "coalesce(?6, image_path), metadata = coalesce(?7, metadata), captured_at = "
              "coalesce(?8, captured_at) WHERE event_id = ?1"));
  VD_RETURN_IF_ERROR(prepare(&delete_event_, "DELETE FROM lpr_events WHERE event_id = ?"));
  VD_RETURN_IF_ERROR(prepare(&add_listed_,
                             "INSERT INTO blacklist (license_plate, reason, created_at) VALUES "
                             "(?, ?, ?) ON CONFLICT (license_plate) DO NOTHING"));
  VD_RETURN_IF_ERROR(
      prepare(&change_listed_, "UPDATE blacklist SET reason = ?2 WHERE license_plate = ?1"));
  VD_RETURN_IF_ERROR(prepare(&remove_listed_, "DELETE FROM blacklist WHERE license_plate = ?"));
  VD_RETURN_IF_ERROR(
      prepare(&find_listed_, "SELECT reason FROM blacklist WHERE license_plate = ?"));
  return prepare(&trim_communication_,
                 "DELETE FROM communication_logs WHERE id <= (SELECT max(id) FROM "
                 "communication_logs) - ?");
}

absl::Status SqliteWriter::Silence(const DeviceRecord& r, AppendResult* result) {
  silence_device_.Bind(1, std::string_view(r.device_id));
  silence_device_.Bind(2, Millis(r.silent_since.value_or(r.at)));
  VD_RETURN_IF_ERROR(silence_device_.Run("cannot store a device"));
  result->duplicate = db_->Changes() == 0;
  return absl::OkStatus();
}

absl::Status SqliteWriter::Apply(const DeviceRecord& r, AppendResult* result) {
  result->id = r.device_id;
  if (r.mode == DeviceRecord::Mode::kSilent) return Silence(r, result);
  int64_t device = 0;
  if (r.mode == DeviceRecord::Mode::kUpdate) {
    VD_ASSIGN_OR_RETURN(device, FindDevice(r.device_id));
    if (device == 0) {
      result->status = absl::NotFoundError(absl::StrCat("device: unknown, \"", r.device_id, "\""));
      return absl::OkStatus();
    }
  } else {
    VD_ASSIGN_OR_RETURN(device, FindOrAddDevice(r.device_id, r.at));
  }
  SqliteStatement& update = update_device_;
  update.Bind(1, device);
  r.seen ? update.Bind(2, Millis(r.at)) : update.BindNull(2);
  r.registers ? update.Bind(3, Millis(r.at)) : update.BindNull(3);
  update.Bind(4, r.checkpoint_id);
  update.Bind(5, r.name);
  update.Bind(6, r.hostname);
  update.Bind(7, r.ip_address);
  update.Bind(8, r.status);
  update.Bind(9, r.latitude);
  update.Bind(10, r.longitude);
  r.silent_since.has_value() ? update.Bind(11, Millis(*r.silent_since)) : update.BindNull(11);
  return update.Run("cannot store a device");
}

absl::Status SqliteWriter::Apply(const BlacklistRecord& r, AppendResult* result) {
  result->id = PlateKey(r.license_plate);
  any_listed_.reset();
  if (r.action == BlacklistRecord::Action::kRemove) {
    remove_listed_.Bind(1, std::string_view(result->id));
    VD_RETURN_IF_ERROR(remove_listed_.Run("cannot change the blacklist"));
    if (db_->Changes() == 0) {
      result->status =
          absl::NotFoundError(absl::StrCat("blacklist: not on it, \"", result->id, "\""));
    }
    return absl::OkStatus();
  }
  add_listed_.Bind(1, std::string_view(result->id));
  add_listed_.Bind(2, std::string_view(r.reason));
  add_listed_.Bind(3, Millis(r.at));
  VD_RETURN_IF_ERROR(add_listed_.Run("cannot change the blacklist"));
  result->duplicate = db_->Changes() == 0;
  if (!result->duplicate) return absl::OkStatus();
  change_listed_.Bind(1, std::string_view(result->id));
  change_listed_.Bind(2, std::string_view(r.reason));
  return change_listed_.Run("cannot change the blacklist");
}

// Most stores have no blacklist, and then a detection costs nothing here.
absl::Status SqliteWriter::FindAlerts(const DetectionRecord& r, AppendResult* result) {
  if (!any_listed_.has_value()) {
    VD_ASSIGN_OR_RETURN(const int64_t any,
                        db_->QueryInt("SELECT EXISTS (SELECT 1 FROM blacklist)"));
    any_listed_ = any != 0;
  }
  if (!*any_listed_) return absl::OkStatus();
  for (const PlateRead& plate : r.plates) {
    const std::string key = PlateKey(plate.text);
    const StatementScope scope(&find_listed_);
    find_listed_.Bind(1, std::string_view(key));
    VD_ASSIGN_OR_RETURN(const bool listed, find_listed_.Next("cannot read the blacklist"));
    if (listed) result->alerts.push_back(PlateAlert{plate.text, find_listed_.Text(0)});
  }
  return absl::OkStatus();
}

absl::Status SqliteWriter::Apply(const EventRecord& r, AppendResult* result) {
  result->id = r.event_id;
  if (r.action == EventRecord::Action::kCreate) return CreateEvent(r, result);
  if (r.action == EventRecord::Action::kUpdate) {
    VD_RETURN_IF_ERROR(UpdateEvent(r, result));
  } else {
    delete_event_.Bind(1, std::string_view(r.event_id));
    VD_RETURN_IF_ERROR(delete_event_.Run("cannot delete an event"));
  }
  if (db_->Changes() == 0) {
    result->status = absl::NotFoundError(absl::StrCat("event: unknown, \"", r.event_id, "\""));
  }
  return absl::OkStatus();
}

absl::Status SqliteWriter::CreateEvent(const EventRecord& r, AppendResult* result) {
  const int64_t at = Millis(r.at);
  SqliteStatement& insert = insert_event_;
  insert.Bind(1, next_event_);
  insert.Bind(2, std::string_view(r.event_id));
  insert.Bind(3, std::string_view(r.device_id.has_value() ? *r.device_id : r.event_id));
  insert.BindTextOrNull(4, r.license_plate.has_value() ? *r.license_plate : std::string_view());
  insert.Bind(5, r.confidence);
  insert.Bind(6, r.image_path);
  insert.Bind(7, r.metadata_json);
  insert.Bind(8, at);
  insert.Bind(9, at);
  insert.Bind(10, r.captured_at.has_value() ? Millis(*r.captured_at) : at);
  insert.BindNull(11);
  VD_RETURN_IF_ERROR(insert.Run("cannot store an event"));
  result->duplicate = db_->Changes() == 0;
  if (!result->duplicate) ++next_event_;
  return absl::OkStatus();
}

absl::Status SqliteWriter::UpdateEvent(const EventRecord& r, AppendResult* /*result*/) {
  SqliteStatement& update = update_event_;
  update.Bind(1, std::string_view(r.event_id));
  update.Bind(2, Millis(r.at));
  update.Bind(3, r.device_id);
  update.Bind(4, r.license_plate);
  update.Bind(5, r.confidence);
  update.Bind(6, r.image_path);
  update.Bind(7, r.metadata_json);
  r.captured_at.has_value() ? update.Bind(8, Millis(*r.captured_at)) : update.BindNull(8);
  return update.Run("cannot change an event");
}

}  // namespace viaduct
