#include "core/store/postgres_hours.h"

#include <algorithm>
#include <string_view>

#include "core/base/status_macros.h"
#include "core/store/postgres_values.h"

namespace viaduct {
namespace {

constexpr std::string_view kCount =
    "INSERT INTO detection_hours AS h (source, hour, writer, detections, plates) SELECT r.source, "
    "r.hour, 0, count(*), sum(r.plates_count) FROM (SELECT unnest(ARRAY[0, source]) AS source, "
    "plates_count, floor(extract(epoch FROM arrived_at) / 3600)::bigint AS hour FROM detections "
    "WHERE id BETWEEN $1 AND $2) r GROUP BY r.source, r.hour ON CONFLICT (source, hour, writer) DO "
    "UPDATE SET detections = h.detections + excluded.detections, plates = h.plates + "
    "excluded.plates";
constexpr std::string_view kAdd =
    "INSERT INTO detection_hours AS h (source, hour, writer, detections, plates) SELECT t.s, t.h, "
    "$1, t.d, t.p FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS t(s, h, "
    "d, p) ON CONFLICT (source, hour, writer) DO UPDATE SET detections = h.detections + "
    "excluded.detections, plates = h.plates + excluded.plates";

// One piece; *more is false when there is none left. The lock keeps those away who add or remove
// rows of it: they must know whether it is counted.
absl::Status CountPiece(PgConnection* db, bool* more) {
  VD_ASSIGN_OR_RETURN(const PgResult pending,
                      db->Run("SELECT next_id, until_id FROM detection_hours_pending FOR UPDATE",
                              PgParams(), "cannot look for detections that are not counted"));
  *more = pending.rows() > 0;
  if (!*more) return absl::OkStatus();
  const int64_t first = pending.Int(0, 0);
  const int64_t until = pending.Int(0, 1);
  const int64_t last = std::min(first + kCountedAtOnce - 1, until);
  VD_RETURN_IF_ERROR(
      db->Run(kCount, PgParams().Add(first).Add(last), "cannot count detections").status());
  if (last < until) {
    return db
        ->Run("UPDATE detection_hours_pending SET next_id = $1", PgParams().Add(last + 1),
              "cannot note what is counted")
        .status();
  }
  return db->Exec("DELETE FROM detection_hours_pending");
}

}  // namespace

void PgHourCounts::Add(int64_t source, absl::Time arrived, int64_t detections, int64_t plates) {
  const int64_t hour = absl::Floor(arrived - absl::UnixEpoch(), absl::Hours(1)) / absl::Hours(1);
  for (const int64_t which : {int64_t{0}, source}) {
    Counts& counts = counts_[{which, hour}];
    counts.detections += detections;
    counts.plates += plates;
  }
}

absl::Status PgHourCounts::Write(PgConnection* db, int64_t writer) const {
  if (counts_.empty()) return absl::OkStatus();
  PgArray sources(PgType::kInt8), hours(PgType::kInt8), detections(PgType::kInt8),
      plates(PgType::kInt8);
  for (const auto& [key, counts] : counts_) {
    sources.Add(key.first);
    hours.Add(key.second);
    detections.Add(counts.detections);
    plates.Add(counts.plates);
  }
  return db
      ->Run(kAdd, PgParams().Add(writer).Add(sources).Add(hours).Add(detections).Add(plates),
            "cannot count detections of an hour")
      .status();
}

absl::StatusOr<PgPendingHours> LockPendingHours(PgConnection* db) {
  VD_ASSIGN_OR_RETURN(const PgResult rows,
                      db->Run("SELECT next_id, until_id FROM detection_hours_pending FOR SHARE",
                              PgParams(), "cannot look for detections that are not counted"));
  PgPendingHours pending;
  if (rows.rows() > 0) pending = {rows.Int(0, 0), rows.Int(0, 1)};
  return pending;
}

absl::Status CountEarlierDetections(PgConnection* db, const absl::Notification& stopping) {
  bool more = true;
  while (more && !stopping.HasBeenNotified()) {
    VD_RETURN_IF_ERROR(db->Exec("BEGIN"));
    absl::Status status = CountPiece(db, &more);
    if (status.ok()) status = db->Exec("COMMIT");
    if (status.ok()) continue;
    if (!db->broken()) db->Exec("ROLLBACK").IgnoreError();
    return status;
  }
  return absl::OkStatus();
}

}  // namespace viaduct
