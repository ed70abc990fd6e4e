// Records that devices send: many in one statement.
#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/store/postgres_hours.h"
#include "core/store/postgres_queries.h"
#include "core/store/postgres_writer.h"

namespace viaduct {
namespace {

struct Sender {
  std::string_view camera_id;
  std::string_view checkpoint_id;
  absl::Time at;
  bool detects = false;
};

// False for a record without a device.
bool SenderOf(const StoreRecord& record, Sender* out) {
  if (const auto* detection = std::get_if<DetectionRecord>(&record)) {
    *out = {detection->camera_id, detection->checkpoint_id, detection->arrived_at, true};
  } else if (const auto* health = std::get_if<HealthRecord>(&record)) {
    *out = {health->camera_id, health->checkpoint_id, health->arrived_at, false};
  } else if (const auto* message = std::get_if<MessageRecord>(&record)) {
    *out = {message->camera_id, "", message->arrived_at, false};
  } else {
    return false;
  }
  return true;
}

std::string SourceKey(int64_t device, std::string_view checkpoint) {
  return absl::StrCat(device, "/", AbslView(checkpoint));
}

std::string_view OrEmpty(std::string_view json) { return json == "{}" ? std::string_view() : json; }

std::string Lines(const std::vector<std::string>& paths) {
  std::string out;
  for (const std::string& path : paths) absl::StrAppend(&out, path, "\n");
  return out;
}

// The rows of one kind among the slots, each key once: what comes again in the same statement is a
// duplicate.
template <typename Record, typename Row, typename Slots>
std::vector<Row> RowsOf(Slots slots) {
  std::vector<Row> rows;
  absl::flat_hash_set<MessageKey> seen;
  for (auto& slot : slots) {
    const auto* record = std::get_if<Record>(slot.record);
    if (record == nullptr) continue;
    slot.result->id = FormatKey(record->key);
    if (seen.insert(record->key).second) {
      rows.push_back(Row{record, &slot});
    } else {
      slot.result->duplicate = true;
    }
  }
  return rows;
}

// What the statement returned: number and key of the rows that are new. The largest number.
template <typename Row>
int64_t NoteInserted(const PgResult& inserted, std::vector<Row>* rows) {
  absl::flat_hash_map<MessageKey, int64_t> ids;
  ids.reserve(static_cast<size_t>(inserted.rows()));
  int64_t newest = 0;
  for (int i = 0; i < inserted.rows(); ++i) {
    ids.emplace(inserted.Key(i, 1), inserted.Int(i, 0));
    newest = std::max(newest, inserted.Int(i, 0));
  }
  for (Row& row : *rows) {
    const auto found = ids.find(row.record->key);
    if (found == ids.end()) {
      row.slot->result->duplicate = true;
    } else {
      row.id = found->second;
    }
  }
  return newest;
}

// Of those whose images have come before them.
template <typename Row>
void NoteFiles(const PgResult& inserted, std::vector<Row>* rows) {
  absl::flat_hash_set<MessageKey> keys;
  for (int i = 0; i < inserted.rows(); ++i) {
    if (inserted.Bool(i, 2)) keys.insert(inserted.Key(i, 1));
  }
  if (keys.empty()) return;
  for (Row& row : *rows) row.has_files = keys.contains(row.record->key);
}

constexpr std::string_view kInsertDetections =
    "INSERT INTO detections (message_key, source, captured_at, arrived_at, writer, vehicles_count, "
    "plates_count, message_id, protocol, image_path, plate_images, note, metadata, payload) SELECT "
    "t.a, t.b, t.c, t.d, $1, t.e, t.f, t.g, t.h, t.i, t.j, t.k, t.l, t.m FROM unnest($2::uuid[], "
    "$3::bigint[], $4::timestamptz[], $5::timestamptz[], $6::int[], $7::int[], $8::text[], "
    "$9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[]) AS t(a, b, c, d, "
    "e, f, g, h, i, j, k, l, m) ON CONFLICT (message_key) DO NOTHING RETURNING id, message_key, "
    "EXISTS (SELECT 1 FROM file_transfers f WHERE f.message_key = detections.message_key AND "
    "f.status = 'stored')";
// Numbers for those that are not there yet. What another node stores at the same moment makes the
// COPY fail, and the group is written again by the statement above.
constexpr std::string_view kNumberDetections =
    "SELECT nextval('detections_id_seq'), t.key, EXISTS (SELECT 1 FROM file_transfers f WHERE "
    "f.message_key = t.key AND f.status = 'stored') FROM unnest($1::uuid[]) AS t(key) WHERE NOT "
    "EXISTS (SELECT 1 FROM detections d WHERE d.message_key = t.key)";
constexpr char kCopyDetections[] =
    "COPY detections (id, message_key, source, captured_at, arrived_at, writer, vehicles_count, "
    "plates_count, message_id, protocol, image_path, plate_images, note, metadata, payload) FROM "
    "STDIN (FORMAT binary)";
constexpr char kCopyEvents[] =
    "COPY lpr_events (event_id, edge_device_id, license_plate, confidence, image_path, metadata, "
    "created_at, updated_at, captured_at, detection) FROM STDIN (FORMAT binary)";
constexpr std::string_view kInsertHealth =
    "INSERT INTO health_reports (message_key, device, captured_at, arrived_at, writer, message_id, "
    "checkpoint_id, protocol, component, status, message, payload) SELECT t.a, t.b, t.c, t.d, $1, "
    "t.e, t.f, t.g, t.h, t.i, t.j, t.k FROM unnest($2::uuid[], $3::bigint[], $4::timestamptz[], "
    "$5::timestamptz[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], "
    "$12::text[]) AS t(a, b, c, d, e, f, g, h, i, j, k) ON CONFLICT (message_key) DO NOTHING "
    "RETURNING id, message_key";
constexpr std::string_view kInsertMessages =
    "INSERT INTO device_messages (message_key, device, captured_at, arrived_at, writer, message_id,"
    " data_type, protocol, payload) SELECT t.a, t.b, t.c, t.d, $1, t.e, t.f, t.g, t.h FROM "
    "unnest($2::uuid[], $3::bigint[], $4::timestamptz[], $5::timestamptz[], $6::text[], "
    "$7::text[], $8::text[], $9::text[]) AS t(a, b, c, d, e, f, g, h) ON CONFLICT (message_key) DO "
    "NOTHING RETURNING id, message_key";
constexpr char kCopyCommunication[] =
    "COPY communication_logs (protocol, source, destination, message_type, success, latency_ms, "
    "error_message, created_at) FROM STDIN (FORMAT binary)";

}  // namespace

absl::Status PostgresWriter::AddDevices(const PgArray& ids, const PgArray& times) {
  VD_RETURN_IF_ERROR(
      db_->Run("INSERT INTO edge_devices (device_id, created_at) SELECT t.id, t.at FROM "
               "unnest($1::text[], $2::timestamptz[]) AS t(id, at) ORDER BY t.id ON CONFLICT "
               "(device_id) DO NOTHING",
               PgParams().Add(ids).Add(times), "cannot add a device")
          .status());
  VD_ASSIGN_OR_RETURN(
      const PgResult rows,
      db_->Run("SELECT t.id, d.id FROM unnest($1::text[]) AS t(id) JOIN edge_devices d ON "
               "d.device_id = t.id",
               PgParams().Add(ids), "cannot look up a device"));
  for (int i = 0; i < rows.rows(); ++i) devices_.emplace(rows.View(i, 0), rows.Int(i, 1));
  return absl::OkStatus();
}

absl::Status PostgresWriter::FindDevices(Slots slots) {
  PgArray ids(PgType::kText), times(PgType::kTime);
  absl::flat_hash_set<std::string> asked;
  Sender sender;
  for (const Slot& slot : slots) {
    if (!SenderOf(*slot.record, &sender) || devices_.contains(AbslView(sender.camera_id)) ||
        !asked.insert(std::string(sender.camera_id)).second) {
      continue;
    }
    ids.Add(sender.camera_id);
    times.Add(sender.at);
  }
  if (ids.size() > 0) VD_RETURN_IF_ERROR(AddDevices(ids, times));
  for (Slot& slot : slots) {
    if (!SenderOf(*slot.record, &sender)) continue;
    const auto found = devices_.find(AbslView(sender.camera_id));
    if (found == devices_.end()) {
      return absl::InvalidArgumentError("store: a device has an id that cannot be stored");
    }
    slot.device = found->second;
  }
  return absl::OkStatus();
}

absl::Status PostgresWriter::FindSources(Slots slots) {
  PgArray devices(PgType::kInt8), checkpoints(PgType::kText);
  std::vector<std::pair<Slot*, std::string>> unknown;
  absl::flat_hash_set<std::string> asked;
  Sender sender;
  for (Slot& slot : slots) {
    if (!SenderOf(*slot.record, &sender) || !sender.detects) continue;
    std::string key = SourceKey(slot.device, sender.checkpoint_id);
    const auto known = sources_.find(key);
    if (known != sources_.end()) {
      slot.source = known->second;
      continue;
    }
    if (asked.insert(key).second) {
      devices.Add(slot.device);
      checkpoints.Add(sender.checkpoint_id);
    }
    unknown.emplace_back(&slot, std::move(key));
  }
  if (unknown.empty()) return absl::OkStatus();
  const PgParams params = PgParams().Add(devices).Add(checkpoints);
  VD_RETURN_IF_ERROR(
      db_->Run("INSERT INTO sources (device, checkpoint_id) SELECT t.d, t.c FROM "
               "unnest($1::bigint[], $2::text[]) AS t(d, c) ORDER BY t.d, t.c ON CONFLICT (device, "
               "checkpoint_id) DO NOTHING",
               params, "cannot add a source")
          .status());
  VD_ASSIGN_OR_RETURN(
      const PgResult rows,
      db_->Run(
          "SELECT t.d, t.c, s.id FROM unnest($1::bigint[], $2::text[]) AS t(d, c) JOIN sources "
          "s ON s.device = t.d AND s.checkpoint_id = t.c",
          params, "cannot look up a source"));
  for (int i = 0; i < rows.rows(); ++i) {
    sources_.emplace(SourceKey(rows.Int(i, 0), rows.View(i, 1)), rows.Int(i, 2));
  }
  for (auto& [slot, key] : unknown) {
    const auto found = sources_.find(key);
    if (found == sources_.end()) {
      return absl::InvalidArgumentError("store: a checkpoint has an id that cannot be stored");
    }
    slot->source = found->second;
  }
  return absl::OkStatus();
}

absl::Status PostgresWriter::WriteDetections(Slots slots) {
  auto rows = RowsOf<DetectionRecord, Row<DetectionRecord>>(slots);
  if (rows.empty()) return absl::OkStatus();
  bool copying = false;
  VD_RETURN_IF_ERROR(careful_ ? InsertDetections(&rows) : BeginDetections(&rows, &copying));
  const std::string events = EventsOf(rows);  // While the server stores the detections.
  if (copying) VD_RETURN_IF_ERROR(db_->EndCopy("cannot store a detection"));
  PgHourCounts hours;
  for (const auto& row : rows) {
    if (row.id == 0) continue;
    hours.Add(row.slot->source, row.record->arrived_at, 1, row.record->plates_count);
  }
  VD_RETURN_IF_ERROR(hours.Write(db_, number_));
  if (events.empty()) return absl::OkStatus();
  VD_RETURN_IF_ERROR(db_->Copy(kCopyEvents, events, "cannot store an event"));
  VD_RETURN_IF_ERROR(WritePlaces(rows));
  VD_RETURN_IF_ERROR(JoinFilesOf(rows));
  return FindAlerts(rows);
}

absl::Status PostgresWriter::BeginDetections(std::vector<Row<DetectionRecord>>* rows,
                                             bool* copying) {
  PgArray keys(PgType::kUuid);
  for (const auto& row : *rows) keys.Add(row.record->key);
  VD_ASSIGN_OR_RETURN(const PgResult numbered, db_->Run(kNumberDetections, PgParams().Add(keys),
                                                        "cannot number detections"));
  last_detection_ = std::max(last_detection_, NoteInserted(numbered, rows));
  NoteFiles(numbered, rows);
  PgRows copy(15);
  for (const auto& row : *rows) {
    if (row.id == 0) continue;
    const DetectionRecord& r = *row.record;
    copy.Add(row.id);
    copy.Add(r.key);
    copy.Add(row.slot->source);
    copy.Add(r.captured_at);
    copy.Add(r.arrived_at);
    copy.Add(static_cast<int32_t>(number_));
    copy.Add(r.vehicles_count);
    copy.Add(r.plates_count);
    copy.Add(std::string_view(r.message_id));
    copy.Add(std::string_view(r.protocol));
    copy.AddTextOrNull(r.image_path);
    copy.AddTextOrNull(Lines(r.plate_images));
    copy.AddTextOrNull(r.note);
    copy.AddTextOrNull(OrEmpty(r.metadata_json));
    copy.Add(std::string_view(r.payload_json));
  }
  if (copy.empty()) return absl::OkStatus();
  *copying = true;
  return db_->BeginCopy(kCopyDetections, copy.Finish(), "cannot store a detection");
}

// As BeginDetections; a key that comes into the table meanwhile is a duplicate here.
absl::Status PostgresWriter::InsertDetections(std::vector<Row<DetectionRecord>>* rows) {
  PgArray keys(PgType::kUuid), sources(PgType::kInt8), captured(PgType::kTime),
      arrived(PgType::kTime), vehicles(PgType::kInt4), plates(PgType::kInt4),
      message_ids(PgType::kText), protocols(PgType::kText), images(PgType::kText),
      plate_images(PgType::kText), notes(PgType::kText), metadata(PgType::kText),
      payloads(PgType::kText);
  for (const auto& row : *rows) {
    const DetectionRecord& r = *row.record;
    keys.Add(r.key);
    sources.Add(row.slot->source);
    captured.Add(r.captured_at);
    arrived.Add(r.arrived_at);
    vehicles.Add(r.vehicles_count);
    plates.Add(r.plates_count);
    message_ids.Add(r.message_id);
    protocols.Add(r.protocol);
    images.AddTextOrNull(r.image_path);
    plate_images.AddTextOrNull(Lines(r.plate_images));
    notes.AddTextOrNull(r.note);
    metadata.AddTextOrNull(OrEmpty(r.metadata_json));
    payloads.Add(r.payload_json);
  }
  PgParams params;
  params.Add(number_).Add(keys).Add(sources).Add(captured).Add(arrived).Add(vehicles).Add(plates);
  params.Add(message_ids).Add(protocols).Add(images).Add(plate_images).Add(notes).Add(metadata);
  params.Add(payloads);
  VD_ASSIGN_OR_RETURN(const PgResult inserted,
                      db_->Run(kInsertDetections, params, "cannot store a detection"));
  last_detection_ = std::max(last_detection_, NoteInserted(inserted, rows));
  NoteFiles(inserted, rows);
  return absl::OkStatus();
}

std::string PostgresWriter::EventsOf(absl::Span<const Row<DetectionRecord>> rows) {
  static const PlateRead kNoPlate;
  PgRows copy(10);
  for (const auto& row : rows) {
    if (row.id == 0) continue;
    const DetectionRecord& r = *row.record;
    const size_t count = std::max<size_t>(1, r.plates.size());
    for (size_t i = 0; i < count; ++i) {
      const PlateRead& plate = r.plates.empty() ? kNoPlate : r.plates[i];
      copy.Add(std::string_view(absl::StrCat(row.slot->result->id, "-", i + 1)));
      copy.Add(std::string_view(r.camera_id));
      copy.AddTextOrNull(plate.text);
      copy.Add(plate.confidence);
      copy.AddTextOrNull(plate.image_path.empty() ? r.image_path : plate.image_path);
      copy.AddJsonOrNull(OrEmpty(plate.metadata_json));
      copy.Add(r.arrived_at);
      copy.Add(r.arrived_at);
      copy.Add(r.captured_at);
      copy.Add(row.id);
    }
  }
  return copy.empty() ? std::string() : copy.Finish();
}

absl::Status PostgresWriter::FindAlerts(absl::Span<const Row<DetectionRecord>> rows) {
  std::vector<const DetectionRecord*> added;
  for (const auto& row : rows) {
    if (row.id != 0) added.push_back(row.record);
  }
  VD_ASSIGN_OR_RETURN(const PgBlacklistMatcher listed, PgBlacklistMatcher::Ask(db_, added));
  if (listed.empty()) return absl::OkStatus();
  for (const auto& row : rows) {
    if (row.id != 0) row.slot->result->alerts = listed.AlertsOf(*row.record);
  }
  return absl::OkStatus();
}

absl::Status PostgresWriter::WriteHealth(Slots slots) {
  auto rows = RowsOf<HealthRecord, Row<HealthRecord>>(slots);
  if (rows.empty()) return absl::OkStatus();
  PgArray keys(PgType::kUuid), devices(PgType::kInt8), captured(PgType::kTime),
      arrived(PgType::kTime), message_ids(PgType::kText), checkpoints(PgType::kText),
      protocols(PgType::kText), components(PgType::kText), statuses(PgType::kText),
      messages(PgType::kText), payloads(PgType::kText);
  for (const auto& row : rows) {
    const HealthRecord& r = *row.record;
    keys.Add(r.key);
    devices.Add(row.slot->device);
    captured.Add(r.captured_at);
    arrived.Add(r.arrived_at);
    message_ids.Add(r.message_id);
    checkpoints.Add(r.checkpoint_id);
    protocols.Add(r.protocol);
    components.Add(r.component);
    statuses.Add(r.status);
    messages.Add(r.message);
    payloads.Add(r.payload_json);
  }
  PgParams params;
  params.Add(number_).Add(keys).Add(devices).Add(captured).Add(arrived).Add(message_ids);
  params.Add(checkpoints).Add(protocols).Add(components).Add(statuses).Add(messages).Add(payloads);
  VD_ASSIGN_OR_RETURN(const PgResult inserted,
                      db_->Run(kInsertHealth, params, "cannot store a health report"));
  last_health_report_ = std::max(last_health_report_, NoteInserted(inserted, &rows));
  return absl::OkStatus();
}

absl::Status PostgresWriter::WriteMessages(Slots slots) {
  auto rows = RowsOf<MessageRecord, Row<MessageRecord>>(slots);
  if (rows.empty()) return absl::OkStatus();
  PgArray keys(PgType::kUuid), devices(PgType::kInt8), captured(PgType::kTime),
      arrived(PgType::kTime), message_ids(PgType::kText), types(PgType::kText),
      protocols(PgType::kText), payloads(PgType::kText);
  for (const auto& row : rows) {
    const MessageRecord& r = *row.record;
    keys.Add(r.key);
    devices.Add(row.slot->device);
    captured.Add(r.captured_at);
    arrived.Add(r.arrived_at);
    message_ids.Add(r.message_id);
    types.Add(r.data_type);
    protocols.Add(r.protocol);
    payloads.Add(r.payload_json);
  }
  PgParams params;
  params.Add(number_).Add(keys).Add(devices).Add(captured).Add(arrived).Add(message_ids);
  params.Add(types).Add(protocols).Add(payloads);
  VD_ASSIGN_OR_RETURN(const PgResult inserted,
                      db_->Run(kInsertMessages, params, "cannot store a message"));
  NoteInserted(inserted, &rows);
  return absl::OkStatus();
}

absl::Status PostgresWriter::WriteCommunication(Slots slots) {
  PgRows copy(8);
  for (const Slot& slot : slots) {
    const auto* r = std::get_if<CommunicationRecord>(slot.record);
    if (r == nullptr) continue;
    copy.Add(std::string_view(r->protocol));
    copy.Add(std::string_view(r->source));
    copy.Add(std::string_view(r->destination));
    copy.Add(std::string_view(r->message_type));
    copy.Add(r->success);
    copy.Add(r->latency_ms);
    copy.AddTextOrNull(r->error_message);
    copy.Add(r->at);
  }
  if (copy.empty()) return absl::OkStatus();
  return db_->Copy(kCopyCommunication, copy.Finish(), "cannot store a communication log entry");
}

}  // namespace viaduct
