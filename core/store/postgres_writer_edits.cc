// Records that people write: devices and events.
#include "absl/strings/str_cat.h"
#include "core/base/ids.h"
#include "core/base/status_macros.h"
#include "core/store/plate_key.h"
#include "core/store/postgres_writer.h"

namespace viaduct {
namespace {

constexpr size_t kUuidBytes = 36;

constexpr std::string_view kUpdateDevice =
    "UPDATE edge_devices SET last_seen = coalesce($2, last_seen), registered_at = "
    "coalesce(registered_at, $3), checkpoint_id = coalesce($4, checkpoint_id), name = coalesce($5, "
    "name), hostname = coalesce($6, hostname), ip_address = coalesce($7, ip_address), status = "
    "CASE WHEN last_seen > $11 THEN status WHEN $8 IS NULL AND $2 IS NOT NULL AND status = "
    "'offline' THEN 'online' ELSE coalesce($8, status) END, latitude = coalesce($9, "
    "latitude), longitude = coalesce($10, longitude) "
    "WHERE device_id = $1";
constexpr std::string_view kSilenceDevice =
    "UPDATE edge_devices SET status = 'offline' WHERE device_id = $1 AND status = 'online' AND "
    "last_seen <= $2";
constexpr std::string_view kUpdateEvent =
    "UPDATE lpr_events SET updated_at = $2, edge_device_id = coalesce($3, edge_device_id), "
    "license_plate = CASE WHEN $4::text IS NULL THEN license_plate ELSE nullif($4, '') END, "
    "confidence = coalesce($5, confidence), image_path = coalesce($6, image_path), metadata = "
    "coalesce($7, metadata), captured_at = coalesce($8, captured_at) WHERE event_id = $1";

std::string_view TextOf(const std::optional<std::string>& text) {
  return text.has_value() ? std::string_view(*text) : std::string_view();
}

void AddJson(const std::optional<std::string>& json, PgParams* params) {
  json.has_value() ? params->AddJson(*json) : params->AddNull(PgType::kJsonb);
}

}  // namespace

absl::Status PostgresWriter::Silence(const DeviceRecord& r, AppendResult* result) {
  VD_ASSIGN_OR_RETURN(
      const PgResult changed,
      db_->Run(kSilenceDevice, PgParams().Add(r.device_id).Add(r.silent_since.value_or(r.at)),
               "cannot store a device"));
  result->duplicate = changed.affected() == 0;
  return absl::OkStatus();
}

absl::Status PostgresWriter::Edit(const DeviceRecord& r, Slot* slot) {
  slot->result->id = r.device_id;
  if (r.mode == DeviceRecord::Mode::kSilent) return Silence(r, slot->result);
  if (r.mode == DeviceRecord::Mode::kUpsert) {
    PgArray ids(PgType::kText), times(PgType::kTime);
    ids.Add(r.device_id);
    times.Add(r.at);
    VD_RETURN_IF_ERROR(AddDevices(ids, times));
  }
  PgParams params;
  params.Add(r.device_id);
  r.seen ? params.Add(r.at) : params.AddNull(PgType::kTime);
  r.registers ? params.Add(r.at) : params.AddNull(PgType::kTime);
  params.Add(r.checkpoint_id).Add(r.name).Add(r.hostname).Add(r.ip_address).Add(r.status);
  params.Add(r.latitude).Add(r.longitude);
  r.silent_since.has_value() ? params.Add(*r.silent_since) : params.AddNull(PgType::kTime);
  VD_ASSIGN_OR_RETURN(const PgResult changed,
                      db_->Run(kUpdateDevice, params, "cannot store a device"));
  if (changed.affected() == 0) {
    slot->result->status =
        absl::NotFoundError(absl::StrCat("device: unknown, \"", r.device_id, "\""));
  }
  return absl::OkStatus();
}

absl::Status PostgresWriter::Edit(const BlacklistRecord& r, Slot* slot) {
  AppendResult* const result = slot->result;
  result->id = PlateKey(r.license_plate);
  if (r.action == BlacklistRecord::Action::kRemove) {
    VD_ASSIGN_OR_RETURN(const PgResult gone,
                        db_->Run("DELETE FROM blacklist WHERE license_plate = $1",
                                 PgParams().Add(result->id), "cannot change the blacklist"));
    if (gone.affected() == 0) {
      result->status =
          absl::NotFoundError(absl::StrCat("blacklist: not on it, \"", result->id, "\""));
    }
    return absl::OkStatus();
  }
  VD_ASSIGN_OR_RETURN(
      const PgResult added,
      db_->Run("INSERT INTO blacklist (license_plate, reason, created_at) VALUES ($1, $2, $3) ON "
               "CONFLICT (license_plate) DO NOTHING",
               PgParams().Add(result->id).Add(r.reason).Add(r.at), "cannot change the blacklist"));
  result->duplicate = added.affected() == 0;
  if (!result->duplicate) return absl::OkStatus();
  return db_
      ->Run("UPDATE blacklist SET reason = $2 WHERE license_plate = $1",
            PgParams().Add(result->id).Add(r.reason), "cannot change the blacklist")
      .status();
}

absl::Status PostgresWriter::Edit(const EventRecord& r, Slot* slot) {
  slot->result->id = r.event_id;
  switch (r.action) {
    case EventRecord::Action::kCreate:
      return CreateEvent(r, slot->result);
    case EventRecord::Action::kUpdate:
      return UpdateEvent(r, slot->result);
    case EventRecord::Action::kDelete:
      return DeleteEvent(r, slot->result);
  }
  return absl::InternalError("event: unknown action");
}

absl::Status PostgresWriter::CreateEvent(const EventRecord& r, AppendResult* result) {
  // These belong to detections, whose key keeps them unique.
  if (r.event_id.size() > kUuidBytes && IsUuid(r.event_id.substr(0, kUuidBytes))) {
    return absl::InvalidArgumentError(
        absl::StrCat("event: the id is reserved for detections, \"", r.event_id, "\""));
  }
  VD_ASSIGN_OR_RETURN(const PgResult reserved,
                      db_->Run("INSERT INTO event_ids (event_id, created_at) VALUES ($1, $2) ON "
                               "CONFLICT (event_id) DO NOTHING",
                               PgParams().Add(r.event_id).Add(r.at), "cannot store an event"));
  result->duplicate = reserved.affected() == 0;
  if (result->duplicate) return absl::OkStatus();
  PgParams params;
  params.Add(r.event_id).Add(r.device_id.has_value() ? *r.device_id : r.event_id);
  params.AddTextOrNull(TextOf(r.license_plate)).Add(r.confidence).Add(r.image_path);
  AddJson(r.metadata_json, &params);
  params.Add(r.at).Add(r.captured_at.has_value() ? *r.captured_at : r.at);
  return db_
      ->Run(
          "INSERT INTO lpr_events (event_id, edge_device_id, license_plate, confidence, "
          "image_path, metadata, created_at, updated_at, captured_at) VALUES ($1, $2, $3, $4, "
          "$5, $6, $7, $7, $8)",
          params, "cannot store an event")
      .status();
}

absl::Status PostgresWriter::UpdateEvent(const EventRecord& r, AppendResult* result) {
  PgParams params;
  params.Add(r.event_id).Add(r.at).Add(r.device_id).Add(r.license_plate).Add(r.confidence);
  params.Add(r.image_path);
  AddJson(r.metadata_json, &params);
  params.Add(r.captured_at);
  VD_ASSIGN_OR_RETURN(const PgResult changed,
                      db_->Run(kUpdateEvent, params, "cannot change an event"));
  if (changed.affected() == 0) {
    result->status = absl::NotFoundError(absl::StrCat("event: unknown, \"", r.event_id, "\""));
  }
  return absl::OkStatus();
}

absl::Status PostgresWriter::DeleteEvent(const EventRecord& r, AppendResult* result) {
  const PgParams id = PgParams().Add(r.event_id);
  VD_ASSIGN_OR_RETURN(const PgResult gone, db_->Run("DELETE FROM lpr_events WHERE event_id = $1",
                                                    id, "cannot delete an event"));
  if (gone.affected() == 0) {
    result->status = absl::NotFoundError(absl::StrCat("event: unknown, \"", r.event_id, "\""));
    return absl::OkStatus();
  }
  return db_->Run("DELETE FROM event_ids WHERE event_id = $1", id, "cannot delete an event")
      .status();
}

}  // namespace viaduct
