#include "core/store/sqlite_writer.h"

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "core/base/crash_point.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/store/sqlite_schema.h"

namespace viaduct {
namespace {

constexpr size_t kMaxCachedSources = 65'536;
constexpr int64_t kTrimEvery = 4'096;  // Rows of the communication log between two trims.

// An error of one record; the others of its group can be written without it.
bool IsRecordError(const absl::Status& status) {
  return status.code() == absl::StatusCode::kInvalidArgument ||
         status.code() == absl::StatusCode::kInternal;
}

// What nobody understands may be the file's fault: only what is wrong with the record is final.
absl::Status ToSender(const absl::Status& status) {
  return status.code() == absl::StatusCode::kInternal ? absl::UnavailableError(status.message())
                                                      : status;
}

int64_t Millis(absl::Time time) { return absl::ToUnixMillis(time); }

std::string_view OrEmpty(std::string_view json) { return json == "{}" ? std::string_view() : json; }

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteWriter>> SqliteWriter::Create(SqliteDb* db, Options options) {
  auto writer = absl::WrapUnique(new SqliteWriter(db, options));
  VD_RETURN_IF_ERROR(writer->PrepareIngest());
  VD_RETURN_IF_ERROR(writer->PrepareEdits());
  VD_RETURN_IF_ERROR(writer->PrepareFiles());
  VD_RETURN_IF_ERROR(writer->LoadNextIds());
  return writer;
}

absl::Status SqliteWriter::PrepareIngest() {
  const auto prepare = [this](SqliteStatement* out, std::string_view sql) -> absl::Status {
    VD_ASSIGN_OR_RETURN(*out, db_->Prepare(sql));
    return absl::OkStatus();
  };
  VD_RETURN_IF_ERROR(prepare(&begin_, "BEGIN IMMEDIATE"));
  VD_RETURN_IF_ERROR(prepare(&commit_, "COMMIT"));
  VD_RETURN_IF_ERROR(prepare(
      &insert_detection_,
      "INSERT INTO detections (id, message_key, message_id, source, previous, protocol, "
      "captured_at, "
      "arrived_at, vehicles_count, plates_count, image_path, plate_images, note, metadata, payload)"
      " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (message_key) DO NOTHING"));
  VD_RETURN_IF_ERROR(
      prepare(&insert_event_,
              "INSERT INTO lpr_events (id, event_id, edge_device_id, license_plate, confidence, "
              "image_path, metadata, created_at, updated_at, captured_at, detection)"
              " VALUES (?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (event_id) DO NOTHING"));
  VD_RETURN_IF_ERROR(
      prepare(&insert_health_,
              "INSERT INTO health_reports (message_key, message_id, device, checkpoint_id, "
              "protocol, captured_at, arrived_at, component, status, message, payload)"
              " VALUES (?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (message_key) DO NOTHING"));
  VD_RETURN_IF_ERROR(
      prepare(&insert_message_,
              "INSERT INTO device_messages (message_key, message_id, device, data_type, protocol, "
              "captured_at, arrived_at, payload)"
              " VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (message_key) DO NOTHING"));
  VD_RETURN_IF_ERROR(
      prepare(&insert_communication_,
              "INSERT INTO communication_logs (protocol, source, destination, message_type, "
              "success, latency_ms, error_message, created_at) VALUES (?,?,?,?,?,?,?,?)"));
  VD_RETURN_IF_ERROR(prepare(&touch_device_,
                             "UPDATE edge_devices SET last_seen = ?2, checkpoint_id = "
                             "coalesce(?3, checkpoint_id), health_status = coalesce(?4, "
                             "health_status), status = CASE status WHEN 'offline' THEN 'online' "
                             "ELSE status END WHERE id = ?1"));
  VD_RETURN_IF_ERROR(
      prepare(&count_source_,
              "UPDATE sources SET detections = detections + ?2, newest = ?3 WHERE id = ?1"));
  VD_RETURN_IF_ERROR(prepare(&add_counter_,
                             "INSERT INTO counters VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE "
                             "SET value = value + excluded.value"));
  VD_RETURN_IF_ERROR(prepare(&add_hour_, kAddToHour));
  VD_RETURN_IF_ERROR(
      prepare(&drop_hour_,
              "DELETE FROM detection_hours WHERE source = ?1 AND hour = ?2 AND detections <= 0"));
  return prepare(&add_daily_,
                 "INSERT INTO daily_counters VALUES (?1, ?2, ?3) ON CONFLICT (day, name) DO "
                 "UPDATE SET value = value + excluded.value");
}

absl::Status SqliteWriter::LoadNextIds() {
  VD_ASSIGN_OR_RETURN(const int64_t detection,
                      db_->QueryInt("SELECT coalesce(max(id), 0) FROM detections"));
  VD_ASSIGN_OR_RETURN(const int64_t event,
                      db_->QueryInt("SELECT coalesce(max(id), 0) FROM lpr_events"));
  // Rows that are being salvaged from a damaged file keep their numbers below these.
  VD_ASSIGN_OR_RETURN(
      const int64_t reserved,
      db_->QueryInt("SELECT coalesce(max(value), 0) FROM counters WHERE name = 'reserved_ids'"));
  next_detection_ = committed_next_detection_ = std::max(detection, reserved) + 1;
  next_event_ = committed_next_event_ = std::max(event, reserved) + 1;
  return absl::OkStatus();
}

absl::Status SqliteWriter::Write(absl::Span<WriteItem* const> items) {
  absl::Status status = WriteOnce(items, /*careful=*/false);
  // Savepoints cost more than they are worth for the one bad record in a million: find it in a
  // second pass.
  if (IsRecordError(status)) status = WriteOnce(items, /*careful=*/true);
  return status;
}

absl::Status SqliteWriter::WriteOnce(absl::Span<WriteItem* const> items, bool careful) {
  effects_ = Effects();
  growth_.clear();
  touched_.clear();
  if (sources_.size() > kMaxCachedSources || devices_.size() > kMaxCachedSources) {
    sources_.clear();
    devices_.clear();
  }
  const absl::Status status = WriteAll(items, careful);
  if (!status.ok()) {
    Rollback();
    return status;
  }
  committed_next_detection_ = next_detection_;
  committed_next_event_ = next_event_;
  return absl::OkStatus();
}

absl::Status SqliteWriter::WriteAll(absl::Span<WriteItem* const> items, bool careful) {
  VD_CRASH_POINT("store.group.begin");
  VD_RETURN_IF_ERROR(begin_.Run("cannot begin"));
  for (WriteItem* item : items) {
    item->results.assign(item->records.size(), AppendResult());
    for (size_t i = 0; i < item->records.size(); ++i) {
      AppendResult* result = &item->results[i];
      const StoreRecord& record = item->records[i];
      if (careful) {
        VD_RETURN_IF_ERROR(WriteCarefully(record, result));
      } else {
        VD_RETURN_IF_ERROR(std::visit([&](const auto& r) { return Apply(r, result); }, record));
      }
    }
  }
  VD_RETURN_IF_ERROR(FlushEffects());
  VD_CRASH_POINT("store.group.written");
  VD_RETURN_IF_ERROR(commit_.Run("cannot commit"));
  VD_CRASH_POINT("store.group.committed");
  return absl::OkStatus();
}

absl::Status SqliteWriter::WriteCarefully(const StoreRecord& record, AppendResult* result) {
  const Effects before = effects_;
  VD_RETURN_IF_ERROR(savepoint_.Run("cannot set a savepoint"));
  const absl::Status status = std::visit([&](const auto& r) { return Apply(r, result); }, record);
  if (!status.ok()) {
    if (!IsRecordError(status) || !db_->InTransaction()) return status;
    VD_RETURN_IF_ERROR(rollback_to_.Run("cannot go back to a savepoint"));
    effects_ = before;
    sources_.clear();  // May name rows that are gone.
    devices_.clear();
    any_listed_.reset();
    any_files_.reset();
    *result = AppendResult{ToSender(status), false, "", {}};
  }
  return release_.Run("cannot release a savepoint");
}

void SqliteWriter::Rollback() {
  if (db_->InTransaction()) db_->Exec("ROLLBACK").IgnoreError();
  sources_.clear();
  devices_.clear();
  any_listed_.reset();
  any_files_.reset();
  next_detection_ = committed_next_detection_;
  next_event_ = committed_next_event_;
}

absl::Status SqliteWriter::Apply(const DetectionRecord& r, AppendResult* result) {
  VD_ASSIGN_OR_RETURN(Source* const source, FindSource(r.camera_id, r.checkpoint_id, r.arrived_at));
  result->id = FormatKey(r.key);
  std::string plate_images;
  for (const std::string& path : r.plate_images) absl::StrAppend(&plate_images, path, "\n");
  SqliteStatement& insert = insert_detection_;
  insert.Bind(1, next_detection_);
  insert.BindBlob(2, r.key.data(), r.key.size());
  insert.Bind(3, std::string_view(r.message_id));
  insert.Bind(4, source->id);
  source->newest == 0 ? insert.BindNull(5) : insert.Bind(5, source->newest);
  insert.Bind(6, std::string_view(r.protocol));
  insert.Bind(7, Millis(r.captured_at));
  insert.Bind(8, Millis(r.arrived_at));
  insert.Bind(9, int64_t{r.vehicles_count});
  insert.Bind(10, int64_t{r.plates_count});
  insert.BindTextOrNull(11, r.image_path);
  insert.BindTextOrNull(12, plate_images);
  insert.BindTextOrNull(13, r.note);
  insert.BindTextOrNull(14, OrEmpty(r.metadata_json));
  insert.Bind(15, std::string_view(r.payload_json));
  VD_RETURN_IF_ERROR(insert.Run("cannot store a detection"));
  if (db_->Changes() == 0) {
    result->duplicate = true;
    return absl::OkStatus();
  }
  const int64_t id = next_detection_++;
  VD_RETURN_IF_ERROR(InsertEvents(r, result->id, id));
  VD_RETURN_IF_ERROR(FindAlerts(r, result));
  VD_RETURN_IF_ERROR(JoinFilesOf(r.key, id));
  ++effects_.detections;
  ++DayOf(r.arrived_at)->detections;
  CountHour(source->id, Millis(r.arrived_at), 1, r.plates_count);
  source->newest = id;
  Growth& growth = growth_[source->id];
  ++growth.detections;
  growth.newest = id;
  Touch(source->device, r.arrived_at, r.checkpoint_id, "");
  return absl::OkStatus();
}

absl::Status SqliteWriter::InsertEvents(const DetectionRecord& r, std::string_view detection_id,
                                        int64_t detection) {
  static const PlateRead kNoPlate;
  const size_t rows = std::max<size_t>(1, r.plates.size());
  std::string event_id(detection_id);
  for (size_t i = 0; i < rows; ++i) {
    const PlateRead& plate = r.plates.empty() ? kNoPlate : r.plates[i];
    event_id.resize(detection_id.size());
    absl::StrAppend(&event_id, "-", i + 1);
    SqliteStatement& insert = insert_event_;
    insert.Bind(1, next_event_++);
    insert.Bind(2, std::string_view(event_id));
    insert.Bind(3, std::string_view(r.camera_id));
    insert.BindTextOrNull(4, plate.text);
    insert.Bind(5, plate.confidence);
    insert.BindTextOrNull(6, plate.image_path.empty() ? r.image_path : plate.image_path);
    insert.BindTextOrNull(7, OrEmpty(plate.metadata_json));
    insert.Bind(8, Millis(r.arrived_at));
    insert.Bind(9, Millis(r.arrived_at));
    insert.Bind(10, Millis(r.captured_at));
    insert.Bind(11, detection);
    VD_RETURN_IF_ERROR(insert.Run("cannot store an event"));
    if (plate.place != i) VD_RETURN_IF_ERROR(NotePlace(event_id, plate.place));
  }
  return absl::OkStatus();
}

absl::Status SqliteWriter::Apply(const HealthRecord& r, AppendResult* result) {
  VD_ASSIGN_OR_RETURN(const int64_t device, FindOrAddDevice(r.camera_id, r.arrived_at));
  result->id = FormatKey(r.key);
  SqliteStatement& insert = insert_health_;
  insert.BindBlob(1, r.key.data(), r.key.size());
  insert.Bind(2, std::string_view(r.message_id));
  insert.Bind(3, device);
  insert.Bind(4, std::string_view(r.checkpoint_id));
  insert.Bind(5, std::string_view(r.protocol));
  insert.Bind(6, Millis(r.captured_at));
  insert.Bind(7, Millis(r.arrived_at));
  insert.Bind(8, std::string_view(r.component));
  insert.Bind(9, std::string_view(r.status));
  insert.Bind(10, std::string_view(r.message));
  insert.Bind(11, std::string_view(r.payload_json));
  VD_RETURN_IF_ERROR(insert.Run("cannot store a health report"));
  if (db_->Changes() == 0) {
    result->duplicate = true;
    return absl::OkStatus();
  }
  ++effects_.health_reports;
  ++DayOf(r.arrived_at)->health_reports;
  if (r.component == kGatewayComponent) {
    Touch(device, r.arrived_at, "", "");
  } else {
    Touch(device, r.arrived_at, r.checkpoint_id, r.status);
  }
  return absl::OkStatus();
}

absl::Status SqliteWriter::Apply(const MessageRecord& r, AppendResult* result) {
  VD_ASSIGN_OR_RETURN(const int64_t device, FindOrAddDevice(r.camera_id, r.arrived_at));
  result->id = FormatKey(r.key);
  SqliteStatement& insert = insert_message_;
  insert.BindBlob(1, r.key.data(), r.key.size());
  insert.Bind(2, std::string_view(r.message_id));
  insert.Bind(3, device);
  insert.Bind(4, std::string_view(r.data_type));
  insert.Bind(5, std::string_view(r.protocol));
  insert.Bind(6, Millis(r.captured_at));
  insert.Bind(7, Millis(r.arrived_at));
  insert.Bind(8, std::string_view(r.payload_json));
  VD_RETURN_IF_ERROR(insert.Run("cannot store a message"));
  result->duplicate = db_->Changes() == 0;
  if (!result->duplicate) Touch(device, r.arrived_at, "", "");
  return absl::OkStatus();
}

absl::Status SqliteWriter::Apply(const CommunicationRecord& r, AppendResult* /*result*/) {
  SqliteStatement& insert = insert_communication_;
  insert.Bind(1, std::string_view(r.protocol));
  insert.Bind(2, std::string_view(r.source));
  insert.Bind(3, std::string_view(r.destination));
  insert.Bind(4, std::string_view(r.message_type));
  insert.Bind(5, int64_t{r.success ? 1 : 0});
  insert.Bind(6, r.latency_ms);
  insert.BindTextOrNull(7, r.error_message);
  insert.Bind(8, Millis(r.at));
  ++communication_since_trim_;
  return insert.Run("cannot store a communication log entry");
}

absl::StatusOr<int64_t> SqliteWriter::FindDevice(std::string_view device_id) {
  const auto known = devices_.find(AbslView(device_id));
  if (known != devices_.end()) return known->second;
  const StatementScope scope(&find_device_);
  find_device_.Bind(1, device_id);
  VD_ASSIGN_OR_RETURN(const bool found, find_device_.Next("cannot look up a device"));
  if (!found) return 0;
  const int64_t id = find_device_.Int(0);
  devices_.emplace(device_id, id);
  return id;
}

absl::StatusOr<int64_t> SqliteWriter::FindOrAddDevice(std::string_view device_id, absl::Time at) {
  VD_ASSIGN_OR_RETURN(const int64_t known, FindDevice(device_id));
  if (known != 0) return known;
  const StatementScope scope(&add_device_);
  add_device_.Bind(1, device_id);
  add_device_.Bind(2, Millis(at));
  VD_ASSIGN_OR_RETURN(const bool added, add_device_.Next("cannot add a device"));
  if (!added) return absl::InternalError("store: cannot add a device, no id came back");
  ++effects_.devices;
  const int64_t id = add_device_.Int(0);
  devices_.emplace(device_id, id);
  return id;
}

absl::StatusOr<SqliteWriter::Source*> SqliteWriter::FindSource(std::string_view camera,
                                                               std::string_view checkpoint,
                                                               absl::Time at) {
  source_key_.assign(camera);
  source_key_.push_back('\0');
  source_key_.append(checkpoint);
  const auto known = sources_.find(source_key_);
  if (known != sources_.end()) return &known->second;
  Source source;
  VD_ASSIGN_OR_RETURN(source.device, FindOrAddDevice(camera, at));
  const StatementScope find_scope(&find_source_);
  find_source_.Bind(1, source.device);
  find_source_.Bind(2, checkpoint);
  VD_ASSIGN_OR_RETURN(const bool found, find_source_.Next("cannot look up a source"));
  if (found) {
    source.id = find_source_.Int(0);
    const auto grown = growth_.find(source.id);
    source.newest = grown != growth_.end() ? grown->second.newest : find_source_.Int(1);
  } else {
    const StatementScope count_scope(&count_sources_);
    count_sources_.Bind(1, source.device);
    VD_ASSIGN_OR_RETURN(const bool counted, count_sources_.Next("cannot count sources"));
    if (counted && count_sources_.Int(0) == 0) ++effects_.cameras;
    const StatementScope add_scope(&add_source_);
    add_source_.Bind(1, source.device);
    add_source_.Bind(2, checkpoint);
    VD_ASSIGN_OR_RETURN(const bool added, add_source_.Next("cannot add a source"));
    if (!added) return absl::InternalError("store: cannot add a source, no id came back");
    source.id = add_source_.Int(0);
  }
  return &(sources_[source_key_] = source);
}

void SqliteWriter::Touch(int64_t device, absl::Time at, std::string_view checkpoint,
                         std::string_view health_status) {
  DeviceTouch& touch = touched_[device];
  touch.last_seen_ms = Millis(at);
  if (!checkpoint.empty()) touch.checkpoint_id.assign(checkpoint);
  if (!health_status.empty()) touch.health_status = health_status;
}

SqliteWriter::Effects::Day* SqliteWriter::DayOf(absl::Time at) {
  const int64_t ms = Millis(at);
  if (ms < day_begin_ms_ || ms >= day_end_ms_) {
    const absl::CivilDay day = absl::ToCivilDay(at, options_.zone);
    day_begin_ms_ = Millis(absl::FromCivil(day, options_.zone));
    day_end_ms_ = Millis(absl::FromCivil(day + 1, options_.zone));
    day_name_ = absl::FormatCivilTime(day);
  }
  for (Effects::Day& day : effects_.days) {
    if (day.name == day_name_) return &day;
  }
  effects_.days.push_back(Effects::Day{day_name_, 0, 0});
  return &effects_.days.back();
}

void SqliteWriter::CountHour(int64_t source, int64_t arrived_ms, int64_t detections,
                             int64_t plates) {
  for (const int64_t which : {int64_t{0}, source}) {
    Effects::Hour& hour = effects_.hours[{which, arrived_ms / kMillisAnHour}];
    hour.detections += detections;
    hour.plates += plates;
  }
}

absl::Status SqliteWriter::FlushHours() {
  for (const auto& [key, hour] : effects_.hours) {
    add_hour_.Bind(1, key.first);
    add_hour_.Bind(2, key.second);
    add_hour_.Bind(3, hour.detections);
    add_hour_.Bind(4, hour.plates);
    VD_RETURN_IF_ERROR(add_hour_.Run("cannot count detections of an hour"));
    if (hour.detections >= 0) continue;
    drop_hour_.Bind(1, key.first);
    drop_hour_.Bind(2, key.second);
    VD_RETURN_IF_ERROR(drop_hour_.Run("cannot forget an hour"));
  }
  return absl::OkStatus();
}

absl::Status SqliteWriter::FlushEffects() {
  for (const auto& [source, growth] : growth_) {
    count_source_.Bind(1, source);
    count_source_.Bind(2, growth.detections);
    count_source_.Bind(3, growth.newest);
    VD_RETURN_IF_ERROR(count_source_.Run("cannot count detections of a source"));
  }
  for (const auto& [device, touch] : touched_) {
    touch_device_.Bind(1, device);
    touch_device_.Bind(2, touch.last_seen_ms);
    touch_device_.BindTextOrNull(3, touch.checkpoint_id);
    touch_device_.BindTextOrNull(4, touch.health_status);
    VD_RETURN_IF_ERROR(touch_device_.Run("cannot mark a device as seen"));
  }
  VD_RETURN_IF_ERROR(FlushHours());
  VD_RETURN_IF_ERROR(AddToCounter("detections", effects_.detections));
  VD_RETURN_IF_ERROR(AddToCounter("health_reports", effects_.health_reports));
  VD_RETURN_IF_ERROR(AddToCounter("devices", effects_.devices));
  VD_RETURN_IF_ERROR(AddToCounter("cameras", effects_.cameras));
  for (const Effects::Day& day : effects_.days) {
    VD_RETURN_IF_ERROR(AddToDay(day.name, "detections", day.detections));
    VD_RETURN_IF_ERROR(AddToDay(day.name, "health_reports", day.health_reports));
  }
  return communication_since_trim_ >= kTrimEvery ? TrimCommunication() : absl::OkStatus();
}

absl::Status SqliteWriter::AddToCounter(std::string_view name, int64_t value) {
  if (value == 0) return absl::OkStatus();
  add_counter_.Bind(1, name);
  add_counter_.Bind(2, value);
  return add_counter_.Run("cannot count");
}

absl::Status SqliteWriter::AddToDay(std::string_view day, std::string_view name, int64_t value) {
  if (value == 0) return absl::OkStatus();
  add_daily_.Bind(1, day);
  add_daily_.Bind(2, name);
  add_daily_.Bind(3, value);
  return add_daily_.Run("cannot count a day");
}

absl::Status SqliteWriter::TrimCommunication() {
  communication_since_trim_ = 0;
  trim_communication_.Bind(1, options_.max_communication_rows);
  return trim_communication_.Run("cannot trim the communication log");
}

}  // namespace viaduct
