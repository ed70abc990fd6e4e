#include "core/store/postgres_writer.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/numbers.h"
#include "absl/time/civil_time.h"
#include "core/base/crash_point.h"
#include "core/base/status_macros.h"

namespace viaduct {
namespace {

constexpr size_t kMaxCached = 65'536;
constexpr int64_t kTrimEvery = 4'096;  // Rows of the communication log between two trims.
constexpr int kMaxConflicts = 3;       // Of one group with other nodes; then the senders try again.

// An error of one record; the others of its group can be written without it.
bool IsRecordError(const absl::Status& status) {
  return status.code() == absl::StatusCode::kInvalidArgument ||
         status.code() == absl::StatusCode::kInternal;
}

// What nobody understands may be the server's fault: only what is wrong with the record is final.
absl::Status ToSender(const absl::Status& status) {
  return status.code() == absl::StatusCode::kInternal ? absl::UnavailableError(status.message())
                                                      : status;
}

bool IsEdit(const StoreRecord& record) {
  return std::holds_alternative<DeviceRecord>(record) ||
         std::holds_alternative<EventRecord>(record) ||
         std::holds_alternative<BlacklistRecord>(record) ||
         std::holds_alternative<FileTransferRecord>(record) ||
         std::holds_alternative<ForgetRecord>(record);
}

// Groups that join detections and files see each other's rows: who settles a file waits for those
// that write detections, and they for it.
constexpr std::string_view kSettlesFiles = "SELECT pg_advisory_xact_lock(1447380326)";
constexpr std::string_view kWritesOthers = "SELECT pg_advisory_xact_lock_shared(1447380326)";

template <typename Slots>
bool SettlesFiles(const Slots& slots) {
  return std::any_of(slots.begin(), slots.end(), [](const auto& slot) {
    const auto* file = std::get_if<FileTransferRecord>(slot.record);
    return file != nullptr && file->action == FileTransferRecord::Action::kSettle;
  });
}

int64_t Millis(absl::Time time) { return absl::ToUnixMillis(time); }

}  // namespace

struct PostgresWriter::Effects {
  struct Touch {
    absl::Time last_seen;
    std::string_view checkpoint_id;  // Empty: stays; so do the others.
    std::string_view health_status;
    bool detects = false;
  };
  std::map<int64_t, Touch> devices;  // In order: two nodes never lock them crosswise.
  std::map<int64_t, int64_t> sources;
  std::map<std::string, int64_t> counters;
  std::map<std::pair<std::string, std::string>, int64_t> days;  // By day and name.
  int64_t communication = 0;
};

absl::StatusOr<std::unique_ptr<PostgresWriter>> PostgresWriter::Create(PgConnection* db,
                                                                       Options options) {
  auto writer = absl::WrapUnique(new PostgresWriter(db, std::move(options)));
  // Plans are made once, perhaps while the tables are empty, and kept: all of them look rows up.
  VD_RETURN_IF_ERROR(
      db->Exec("SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"));
  VD_RETURN_IF_ERROR(db->Run("INSERT INTO writers (node_id) VALUES ($1) ON CONFLICT DO NOTHING",
                             PgParams().Add(writer->options_.node_id), "cannot register the node")
                         .status());
  VD_ASSIGN_OR_RETURN(const PgResult row, db->Run("SELECT id FROM writers WHERE node_id = $1",
                                                  PgParams().Add(writer->options_.node_id),
                                                  "cannot register the node"));
  if (row.rows() == 0) return absl::InternalError("store: cannot register the node");
  writer->number_ = row.Int(0, 0);
  return writer;
}

// The row is locked by every group from its begin to its end: a session that still commits is
// waited for.
absl::StatusOr<PgPlace> PostgresWriter::Committed(bool wait) {
  constexpr std::string_view kWaiting =
      "SELECT last_detection, last_health_report FROM writers WHERE id = $1 FOR UPDATE";
  constexpr std::string_view kAtOnce =
      "SELECT last_detection, last_health_report FROM writers WHERE id = $1";
  VD_ASSIGN_OR_RETURN(const PgResult row,
                      db_->Run(wait ? kWaiting : kAtOnce, PgParams().Add(number_),
                               "cannot look for the last commit"));
  if (row.rows() == 0) return absl::InternalError("store: the node's row is gone");
  return PgPlace{row.Int(0, 0), row.Int(0, 1)};
}

absl::Status PostgresWriter::Write(absl::Span<WriteItem* const> items) {
  absl::Status status;
  for (int conflicts = 0; conflicts <= kMaxConflicts; ++conflicts) {
    status = WriteOnce(items, /*careful=*/false);
    if (IsRecordError(status)) status = WriteOnce(items, /*careful=*/true);
    if (status.code() != absl::StatusCode::kAborted) return status;
  }
  return absl::UnavailableError(status.message());
}

absl::Status PostgresWriter::WriteOnce(absl::Span<WriteItem* const> items, bool careful) {
  if (devices_.size() > kMaxCached || sources_.size() > kMaxCached) {
    devices_.clear();
    sources_.clear();
  }
  std::vector<Slot> slots;
  for (WriteItem* item : items) {
    item->results.assign(item->records.size(), AppendResult());
    for (size_t i = 0; i < item->records.size(); ++i) {
      slots.push_back(Slot{&item->records[i], &item->results[i]});
    }
  }
  const absl::Status status = WriteAll(absl::MakeSpan(slots), careful);
  if (!status.ok()) Rollback();
  return status;
}

// The row of this node is locked first: were there two of its name, the numbers of its rows would
// still grow in the order of their commits.
absl::Status PostgresWriter::WriteAll(Slots slots, bool careful) {
  VD_CRASH_POINT("store.group.begin");
  commit_sent_ = false;
  careful_ = careful;
  last_detection_ = last_health_report_ = 0;
  VD_RETURN_IF_ERROR(db_->RunAll(
      {{"BEGIN", PgParams(), "cannot begin"},
       {"UPDATE writers SET groups = groups + 1 WHERE id = $1", PgParams().Add(number_),
        "cannot begin"},
       {SettlesFiles(slots) ? kSettlesFiles : kWritesOthers, PgParams(), "cannot begin"}}));
  VD_RETURN_IF_ERROR(careful ? WriteCarefully(slots) : WriteRange(slots));
  const Effects effects = Sum(slots);
  const std::vector<PgConnection::Queued> closing = Closing(effects);
  VD_CRASH_POINT("store.group.written");
  commit_sent_ = true;
  VD_RETURN_IF_ERROR(db_->RunAll(closing));
  VD_CRASH_POINT("store.group.committed");
  communication_since_trim_ += effects.communication;
  return absl::OkStatus();
}

// Halves what fails until the bad record stands alone.
absl::Status PostgresWriter::WriteCarefully(Slots slots) {
  if (slots.empty()) return absl::OkStatus();
  VD_RETURN_IF_ERROR(db_->Exec("SAVEPOINT part"));
  const absl::Status status = WriteRange(slots);
  if (status.ok()) return db_->Exec("RELEASE part");
  if (!IsRecordError(status) || db_->broken()) return status;
  VD_RETURN_IF_ERROR(db_->Exec("ROLLBACK TO part; RELEASE part"));
  devices_.clear();  // May name rows that are gone.
  sources_.clear();
  for (Slot& slot : slots) *slot.result = AppendResult();
  if (slots.size() == 1) {
    *slots[0].result = AppendResult{ToSender(status), false, "", {}};
    return absl::OkStatus();
  }
  const size_t half = slots.size() / 2;
  VD_RETURN_IF_ERROR(WriteCarefully(slots.subspan(0, half)));
  return WriteCarefully(slots.subspan(half));
}

absl::Status PostgresWriter::WriteRange(Slots slots) {
  while (!slots.empty()) {
    const auto edit = std::find_if(slots.begin(), slots.end(),
                                   [](const Slot& slot) { return IsEdit(*slot.record); });
    const auto bulk = static_cast<size_t>(edit - slots.begin());
    if (bulk > 0) {
      VD_RETURN_IF_ERROR(WriteBulk(slots.subspan(0, bulk)));
      slots.remove_prefix(bulk);
      continue;
    }
    Slot* const slot = &slots[0];
    if (const auto* device = std::get_if<DeviceRecord>(slot->record)) {
      VD_RETURN_IF_ERROR(Edit(*device, slot));
    } else if (const auto* listed = std::get_if<BlacklistRecord>(slot->record)) {
      VD_RETURN_IF_ERROR(Edit(*listed, slot));
    } else if (const auto* file = std::get_if<FileTransferRecord>(slot->record)) {
      VD_RETURN_IF_ERROR(Edit(*file, slot));
    } else if (const auto* forget = std::get_if<ForgetRecord>(slot->record)) {
      VD_RETURN_IF_ERROR(Edit(*forget, slot));
    } else {
      VD_RETURN_IF_ERROR(Edit(std::get<EventRecord>(*slot->record), slot));
    }
    slots.remove_prefix(1);
  }
  return absl::OkStatus();
}

absl::Status PostgresWriter::WriteBulk(Slots slots) {
  VD_RETURN_IF_ERROR(FindDevices(slots));
  VD_RETURN_IF_ERROR(FindSources(slots));
  VD_RETURN_IF_ERROR(WriteDetections(slots));
  VD_RETURN_IF_ERROR(WriteHealth(slots));
  VD_RETURN_IF_ERROR(WriteMessages(slots));
  return WriteCommunication(slots);
}

void PostgresWriter::Rollback() {
  devices_.clear();
  sources_.clear();
  if (!db_->broken() && db_->InTransaction()) db_->Exec("ROLLBACK").IgnoreError();
}

PostgresWriter::Effects PostgresWriter::Sum(Slots slots) {
  Effects effects;
  const auto touch = [&effects](int64_t device, absl::Time at) {
    Effects::Touch& out = effects.devices[device];
    out.last_seen = at;
    return &out;
  };
  for (const Slot& slot : slots) {
    if (!slot.result->status.ok() || slot.result->duplicate) continue;
    if (const auto* detection = std::get_if<DetectionRecord>(slot.record)) {
      ++effects.counters["detections"];
      ++effects.days[{DayOf(detection->arrived_at), "detections"}];
      ++effects.sources[slot.source];
      Effects::Touch* const seen = touch(slot.device, detection->arrived_at);
      seen->detects = true;
      if (!detection->checkpoint_id.empty()) seen->checkpoint_id = detection->checkpoint_id;
    } else if (const auto* health = std::get_if<HealthRecord>(slot.record)) {
      ++effects.counters["health_reports"];
      ++effects.days[{DayOf(health->arrived_at), "health_reports"}];
      Effects::Touch* const seen = touch(slot.device, health->arrived_at);
      if (health->component == kGatewayComponent) continue;
      if (!health->checkpoint_id.empty()) seen->checkpoint_id = health->checkpoint_id;
      seen->health_status = health->status;
    } else if (const auto* message = std::get_if<MessageRecord>(slot.record)) {
      touch(slot.device, message->arrived_at);
    } else if (std::holds_alternative<CommunicationRecord>(*slot.record)) {
      ++effects.communication;
    } else if (const auto* listed = std::get_if<BlacklistRecord>(slot.record)) {
      effects.counters["blacklist"] += listed->action == BlacklistRecord::Action::kAdd ? 1 : -1;
    } else if (const auto* forget = std::get_if<ForgetRecord>(slot.record)) {
      int64_t gone = 0;
      const bool counts = absl::SimpleAtoi(slot.result->id, &gone) && !forget->only_images;
      if (counts && forget->table == KeptTable::kDetections) effects.counters["detections"] -= gone;
      if (counts && forget->table == KeptTable::kHealth) effects.counters["health_reports"] -= gone;
    }
  }
  return effects;
}

const std::string& PostgresWriter::DayOf(absl::Time at) {
  const int64_t ms = Millis(at);
  if (ms < day_begin_ms_ || ms >= day_end_ms_) {
    const absl::CivilDay day = absl::ToCivilDay(at, options_.zone);
    day_begin_ms_ = Millis(absl::FromCivil(day, options_.zone));
    day_end_ms_ = Millis(absl::FromCivil(day + 1, options_.zone));
    day_name_ = absl::FormatCivilTime(day);
  }
  return day_name_;
}

namespace {

constexpr std::string_view kLockDevices =
    "SELECT id FROM edge_devices WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";
constexpr std::string_view kTouchDevices =
    "UPDATE edge_devices d SET last_seen = t.seen, checkpoint_id = coalesce(t.checkpoint, "
    "d.checkpoint_id), health_status = coalesce(t.health, d.health_status), has_detections = "
    "d.has_detections OR t.detects, status = CASE d.status WHEN 'offline' THEN 'online' ELSE "
    "d.status END FROM unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::text[], "
    "$5::boolean[]) AS t(id, seen, checkpoint, health, detects) WHERE d.id = t.id";
constexpr std::string_view kCountSources =
    "UPDATE sources s SET detections = s.detections + t.n FROM unnest($1::bigint[], $2::bigint[]) "
    "AS t(id, n) WHERE s.id = t.id";
constexpr std::string_view kAddToCounters =
    "INSERT INTO counters (name, writer, value) SELECT t.name, $1, t.n FROM unnest($2::text[], "
    "$3::bigint[]) AS t(name, n) ON CONFLICT (name, writer) DO UPDATE SET value = counters.value "
    "+ excluded.value";
constexpr std::string_view kAddToDays =
    "INSERT INTO daily_counters (day, name, writer, value) SELECT t.day, t.name, $1, t.n FROM "
    "unnest($2::text[], $3::text[], $4::bigint[]) AS t(day, name, n) ON CONFLICT (day, name, "
    "writer) DO UPDATE SET value = daily_counters.value + excluded.value";
constexpr std::string_view kNoteNewest =
    "UPDATE writers SET last_detection = greatest(last_detection, $2), last_health_report = "
    "greatest(last_health_report, $3) WHERE id = $1";
constexpr std::string_view kTrimCommunication =
    "DELETE FROM communication_logs WHERE id <= (SELECT max(id) FROM communication_logs) - $1";

}  // namespace

std::vector<PgConnection::Queued> PostgresWriter::Closing(const Effects& effects) {
  std::vector<PgConnection::Queued> out;
  if (!effects.devices.empty()) {
    PgArray ids(PgType::kInt8), seen(PgType::kTime), checkpoints(PgType::kText),
        health(PgType::kText), detects(PgType::kBool);
    for (const auto& [id, touch] : effects.devices) {
      ids.Add(id);
      seen.Add(touch.last_seen);
      checkpoints.AddTextOrNull(touch.checkpoint_id);
      health.AddTextOrNull(touch.health_status);
      detects.Add(touch.detects);
    }
    out.push_back({kLockDevices, PgParams().Add(ids), "cannot mark devices as seen"});
    out.push_back({kTouchDevices,
                   PgParams().Add(ids).Add(seen).Add(checkpoints).Add(health).Add(detects),
                   "cannot mark devices as seen"});
  }
  if (!effects.sources.empty()) {
    PgArray ids(PgType::kInt8), counts(PgType::kInt8);
    for (const auto& [id, count] : effects.sources) {
      ids.Add(id);
      counts.Add(count);
    }
    out.push_back(
        {kCountSources, PgParams().Add(ids).Add(counts), "cannot count detections of sources"});
  }
  if (!effects.counters.empty()) {
    PgArray names(PgType::kText), counts(PgType::kInt8);
    for (const auto& [name, count] : effects.counters) {
      names.Add(std::string_view(name));
      counts.Add(count);
    }
    out.push_back({kAddToCounters, PgParams().Add(number_).Add(names).Add(counts), "cannot count"});
  }
  if (!effects.days.empty()) {
    PgArray days(PgType::kText), day_names(PgType::kText), day_counts(PgType::kInt8);
    for (const auto& [key, count] : effects.days) {
      days.Add(std::string_view(key.first));
      day_names.Add(std::string_view(key.second));
      day_counts.Add(count);
    }
    out.push_back({kAddToDays, PgParams().Add(number_).Add(days).Add(day_names).Add(day_counts),
                   "cannot count a day"});
    out.push_back({kNoteNewest,
                   PgParams().Add(number_).Add(last_detection_).Add(last_health_report_),
                   "cannot note the newest rows"});
    out.push_back({"SELECT pg_notify($1, $2)",
                   PgParams().Add(kPostgresChannel).Add(std::to_string(number_)), "cannot notify"});
  }
  if (communication_since_trim_ >= kTrimEvery) {
    communication_since_trim_ = 0;
    out.push_back({kTrimCommunication, PgParams().Add(options_.max_communication_rows),
                   "cannot trim the communication log"});
  }
  out.push_back({"COMMIT", PgParams(), "cannot commit"});
  return out;
}

}  // namespace viaduct
