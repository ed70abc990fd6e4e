// Rows that go for good.
#include <map>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/store/postgres_hours.h"
#include "core/store/postgres_writer.h"

namespace viaduct {
namespace {

constexpr std::string_view kFindDetections =
    "SELECT id, source, message_key, arrived_at, plates_count FROM detections WHERE id = ANY($1) "
    "ORDER BY id FOR UPDATE";
// The partition of an event is that of its detection's arrival.
constexpr std::string_view kEventRange =
    " WHERE created_at = $3 AND event_id >= $1 AND event_id < $2";
constexpr std::string_view kForgetFiles =
    "DELETE FROM file_transfers WHERE message_key = $1 AND status IN ('stored', 'waiting', "
    "'failed')";
constexpr std::string_view kCountDown =
    "UPDATE sources SET detections = detections - $2 WHERE id = $1";
// Only one of which nothing is left.
constexpr std::string_view kForgetSources =
    "DELETE FROM sources WHERE device = $1 AND NOT EXISTS (SELECT 1 FROM detections WHERE source = "
    "sources.id)";
constexpr std::string_view kForgetDevice =
    "DELETE FROM edge_devices d WHERE d.id = $1 AND NOT EXISTS (SELECT 1 FROM sources WHERE device "
    "= d.id) AND NOT EXISTS (SELECT 1 FROM health_reports WHERE device = d.id) AND NOT EXISTS "
    "(SELECT 1 FROM device_messages WHERE device = d.id)";

PgArray Ids(const ForgetRecord& record) {
  PgArray ids(PgType::kInt8);
  for (const int64_t id : record.ids) ids.Add(id);
  return ids;
}

}  // namespace

absl::Status PostgresWriter::Edit(const ForgetRecord& r, Slot* slot) {
  const size_t count = r.ids.size() + r.event_ids.size();
  if (count > ForgetRecord::kMaxIds) {
    return absl::InvalidArgumentError(
        absl::StrCat("forget: too many, ", count, ", limit ", ForgetRecord::kMaxIds));
  }
  int64_t gone = 0;
  if (r.table == KeptTable::kDetections) {
    VD_RETURN_IF_ERROR(ForgetDetections(r, &gone));
  } else if (r.table == KeptTable::kEvents) {
    VD_RETURN_IF_ERROR(ForgetEvents(r, &gone));
  } else if (r.table == KeptTable::kDevices) {
    VD_RETURN_IF_ERROR(ForgetDevices(r, &gone));
  } else {
    const std::string sql =
        absl::StrCat("DELETE FROM ", std::string(KeptTableName(r.table)), " WHERE id = ANY($1)");
    VD_ASSIGN_OR_RETURN(const PgResult rows,
                        db_->Run(sql, PgParams().Add(Ids(r)), "cannot forget rows"));
    gone = rows.affected();
  }
  slot->result->id = absl::StrCat(gone);
  return absl::OkStatus();
}

absl::Status PostgresWriter::ForgetDetections(const ForgetRecord& r, int64_t* gone) {
  VD_ASSIGN_OR_RETURN(const PgResult rows, db_->Run(kFindDetections, PgParams().Add(Ids(r)),
                                                    "cannot look up detections"));
  std::vector<PgConnection::Queued> work;
  const std::string events = absl::StrCat("DELETE FROM lpr_events", std::string(kEventRange));
  const std::string bare =
      absl::StrCat("UPDATE lpr_events SET image_path = NULL", std::string(kEventRange));
  std::map<int64_t, int64_t> sources;  // In order: two nodes never lock them crosswise.
  for (int i = 0; i < rows.rows(); ++i) {
    const std::string id = FormatKey(rows.Key(i, 2));
    const std::string first = absl::StrCat(id, "-");
    const std::string past = absl::StrCat(id, ".");  // '.' follows '-'.
    const PgParams range = PgParams().Add(first).Add(past).Add(rows.Time(i, 3));
    work.push_back({r.only_images ? bare : events, range, "cannot forget events"});
    if (r.only_images) continue;
    work.push_back({"DELETE FROM plate_places WHERE event_id >= $1 AND event_id < $2",
                    PgParams().Add(first).Add(past), "cannot forget places"});
    work.push_back({kForgetFiles, PgParams().Add(rows.Key(i, 2)), "cannot forget files"});
    ++sources[rows.Int(i, 1)];
  }
  work.push_back({r.only_images ? "UPDATE detections SET image_path = NULL, plate_images = NULL "
                                  "WHERE id = ANY($1)"
                                : "DELETE FROM detections WHERE id = ANY($1)",
                  PgParams().Add(Ids(r)), "cannot forget detections"});
  for (const auto& [source, count] : sources) {
    work.push_back({kCountDown, PgParams().Add(source).Add(count), "cannot count detections"});
  }
  *gone = rows.rows();
  VD_RETURN_IF_ERROR(db_->RunAll(work));
  return r.only_images ? absl::OkStatus() : UncountHours(rows);
}

absl::Status PostgresWriter::UncountHours(const PgResult& rows) {
  VD_ASSIGN_OR_RETURN(const PgPendingHours pending, LockPendingHours(db_));
  PgHourCounts counts;
  for (int i = 0; i < rows.rows(); ++i) {
    if (!pending.Has(rows.Int(i, 0))) {
      counts.Add(rows.Int(i, 1), rows.Time(i, 3), -1, -rows.Int(i, 4));
    }
  }
  return counts.Write(db_, number_);
}

absl::Status PostgresWriter::ForgetEvents(const ForgetRecord& r, int64_t* gone) {
  PgArray ids(PgType::kText);
  for (const std::string& id : r.event_ids) ids.Add(std::string_view(id));
  VD_ASSIGN_OR_RETURN(const PgResult rows,
                      db_->Run("DELETE FROM lpr_events WHERE event_id = ANY($1)",
                               PgParams().Add(ids), "cannot forget events"));
  *gone = rows.affected();
  return db_->RunAll({{"DELETE FROM event_ids WHERE event_id = ANY($1)", PgParams().Add(ids),
                       "cannot forget events"},
                      {"DELETE FROM plate_places WHERE event_id = ANY($1)", PgParams().Add(ids),
                       "cannot forget places"}});
}

absl::Status PostgresWriter::ForgetDevices(const ForgetRecord& r, int64_t* gone) {
  for (const int64_t id : r.ids) {
    VD_RETURN_IF_ERROR(
        db_->Run(kForgetSources, PgParams().Add(id), "cannot forget a device").status());
    VD_ASSIGN_OR_RETURN(const PgResult rows,
                        db_->Run(kForgetDevice, PgParams().Add(id), "cannot forget a device"));
    *gone += rows.affected();
  }
  devices_.clear();
  sources_.clear();
  return absl::OkStatus();
}

}  // namespace viaduct
