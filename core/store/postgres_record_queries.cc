// Pages of detections.
#include <limits>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/store/page_cursor.h"
#include "core/store/postgres_filter.h"
#include "core/store/postgres_queries.h"

namespace viaduct {
namespace {

// More sources than this match so much of the table that walking it backwards finds them soon.
constexpr int kMaxMergedSources = 512;

constexpr std::string_view kDetections =
    "SELECT d.id, d.message_key, d.message_id, e.device_id, s.checkpoint_id, d.protocol, "
    "d.captured_at, d.arrived_at, d.vehicles_count, d.plates_count, d.image_path, d.plate_images, "
    "d.note, d.metadata, d.payload FROM detections d JOIN sources s ON s.id = d.source JOIN "
    "edge_devices e ON e.id = s.device WHERE d.id = ANY($1) ORDER BY d.id DESC";
// Of each source its newest: one short walk over the index of sources.
constexpr std::string_view kIdsBySource =
    "SELECT d.id, octet_length(d.payload) FROM (SELECT q.id FROM unnest($1::bigint[]) AS t(source) "
    "CROSS JOIN LATERAL (SELECT id FROM detections WHERE source = t.source AND id < $2 ORDER BY id "
    "DESC LIMIT $3) q ORDER BY q.id DESC LIMIT $3) p JOIN detections d ON d.id = p.id ORDER BY "
    "d.id "
    "DESC";
constexpr std::string_view kIds =
    "SELECT id, octet_length(payload) FROM detections WHERE id < $1 ORDER BY id DESC LIMIT $2";
constexpr std::string_view kIdsOfSources =
    "SELECT id, octet_length(payload) FROM detections WHERE id < $1 AND source = ANY($3) ORDER BY "
    "id DESC LIMIT $2";
// OFFSET 0 keeps the planner from joining the other way round, over a whole partition.
constexpr std::string_view kPlates =
    "SELECT p.n, e.license_plate, e.confidence, e.metadata::text, e.image_path FROM "
    "unnest($1::text[], $2::text[], $3::timestamptz[]) WITH ORDINALITY AS p(first, past, at, n) "
    "CROSS JOIN LATERAL (SELECT * FROM lpr_events WHERE created_at = p.at AND event_id >= p.first "
    "AND event_id < p.past OFFSET 0) e ORDER BY p.n, e.id";

DetectionRow ReadDetection(const PgResult& rows, int row) {
  DetectionRow out;
  DetectionRecord& r = out.record;
  r.key = rows.Key(row, 1);
  out.detection_id = FormatKey(r.key);
  r.message_id = rows.Text(row, 2);
  r.camera_id = rows.Text(row, 3);
  r.checkpoint_id = rows.Text(row, 4);
  r.protocol = rows.Text(row, 5);
  r.captured_at = rows.Time(row, 6);
  r.arrived_at = rows.Time(row, 7);
  r.vehicles_count = static_cast<int32_t>(rows.Int(row, 8));
  r.plates_count = static_cast<int32_t>(rows.Int(row, 9));
  r.image_path = rows.Text(row, 10);
  r.plate_images = SplitLines(rows.View(row, 11));
  r.note = rows.Text(row, 12);
  r.metadata_json = rows.IsNull(row, 13) ? "{}" : rows.Text(row, 13);
  r.payload_json = rows.Text(row, 14);
  return out;
}

struct MatchingSources {
  PgArray ids{PgType::kInt8};
  int64_t detections = 0;
};

absl::StatusOr<MatchingSources> FindSources(PgConnection* db, const RecordsQuery& query) {
  PgFilter filter;
  if (!query.camera_id.empty()) filter.Add("e.device_id = ", query.camera_id);
  if (!query.checkpoint_id.empty()) filter.Add("s.checkpoint_id = ", query.checkpoint_id);
  VD_ASSIGN_OR_RETURN(const PgResult rows,
                      db->Run(absl::StrCat("SELECT s.id, s.detections FROM sources s JOIN "
                                           "edge_devices e ON e.id = s.device",
                                           filter.sql()),
                              filter.params(), "cannot find sources"));
  MatchingSources out;
  for (int row = 0; row < rows.rows(); ++row) {
    out.ids.Add(rows.Int(row, 0));
    out.detections += rows.Int(row, 1);
  }
  return out;
}

// The numbers of the page's rows and whether there are more. The sizes come before the rows, so
// that no reply is larger than a page.
struct PageIds {
  PgArray ids{PgType::kInt8};
  int64_t last = 0;
  std::string next_cursor;
};

PageIds ChooseIds(const PgResult& rows, int limit) {
  PageIds out;
  size_t bytes = 0;
  for (int row = 0; row < rows.rows(); ++row) {
    const auto size = static_cast<size_t>(rows.Int(row, 1));
    const bool first = row == 0;
    if (!first && (row == limit || bytes + size >= kMaxPageBytes)) {
      out.next_cursor = absl::StrCat(rows.Int(row - 1, 0));
      return out;
    }
    out.last = rows.Int(row, 0);
    out.ids.Add(out.last);
    bytes += size;
    if (bytes >= kMaxPageBytes) {
      if (row + 1 < rows.rows()) out.next_cursor = absl::StrCat(rows.Int(row, 0));
      return out;
    }
  }
  return out;
}

absl::Status ReadPlates(PgConnection* db, std::vector<DetectionRow>* page) {
  if (page->empty()) return absl::OkStatus();
  PgArray first(PgType::kText), past(PgType::kText), arrived(PgType::kTime);
  for (const DetectionRow& row : *page) {
    first.Add(absl::StrCat(row.detection_id, "-"));
    past.Add(absl::StrCat(row.detection_id, "."));  // '.' follows '-'.
    arrived.Add(row.record.arrived_at);
  }
  VD_ASSIGN_OR_RETURN(
      const PgResult rows,
      db->Run(kPlates, PgParams().Add(first).Add(past).Add(arrived), "cannot read plates"));
  for (int row = 0; row < rows.rows(); ++row) {
    if (rows.IsNull(row, 1)) continue;
    PlateRead plate;
    plate.text = rows.Text(row, 1);
    plate.confidence = rows.Real(row, 2);
    plate.metadata_json = rows.IsNull(row, 3) ? "{}" : CompactJson(rows.View(row, 3));
    plate.image_path = rows.Text(row, 4);
    (*page)[static_cast<size_t>(rows.Int(row, 0) - 1)].record.plates.push_back(std::move(plate));
  }
  return absl::OkStatus();
}

absl::StatusOr<PgResult> FindIds(PgConnection* db, const RecordsQuery& query, int64_t before,
                                 int64_t most, int64_t* total) {
  if (query.camera_id.empty() && query.checkpoint_id.empty()) {
    VD_ASSIGN_OR_RETURN(*total, db->QueryInt("SELECT coalesce(sum(value), 0)::bigint FROM counters "
                                             "WHERE name = 'detections'"));
    return db->Run(kIds, PgParams().Add(before).Add(most), "cannot read detections");
  }
  VD_ASSIGN_OR_RETURN(const MatchingSources sources, FindSources(db, query));
  *total = sources.detections;
  if (sources.ids.size() <= kMaxMergedSources) {
    return db->Run(kIdsBySource, PgParams().Add(sources.ids).Add(before).Add(most),
                   "cannot read detections");
  }
  return db->Run(kIdsOfSources, PgParams().Add(before).Add(most).Add(sources.ids),
                 "cannot read detections");
}

}  // namespace

absl::StatusOr<RecordsPage> PgRecords(PgConnection* db, const RecordsQuery& query) {
  RecordsPage page;
  int64_t before = std::numeric_limits<int64_t>::max();
  if (!query.cursor.empty()) {
    VD_ASSIGN_OR_RETURN(before, ParseCursor(query.cursor));
  }
  const int limit = ClampLimit(query.limit);
  VD_ASSIGN_OR_RETURN(const PgResult found,
                      FindIds(db, query, before, int64_t{limit} + 1, &page.total));
  PageIds chosen = ChooseIds(found, limit);
  if (chosen.ids.size() > 0) {
    VD_ASSIGN_OR_RETURN(const PgResult rows,
                        db->Run(kDetections, PgParams().Add(chosen.ids), "cannot read detections"));
    for (int row = 0; row < rows.rows(); ++row) page.rows.push_back(ReadDetection(rows, row));
  }
  page.next_cursor = std::move(chosen.next_cursor);
  VD_RETURN_IF_ERROR(ReadPlates(db, &page.rows));
  return page;
}

absl::StatusOr<DetectionsReport> PgDetections(PgConnection* db, const DetectionsQuery& query) {
  PgArray keys(PgType::kUuid);
  for (const MessageKey& key : query.keys) keys.Add(key);
  VD_ASSIGN_OR_RETURN(
      const PgResult found,
      db->Run("SELECT id, octet_length(payload) FROM detections WHERE message_key = ANY($1) ORDER "
              "BY id DESC",
              PgParams().Add(keys), "cannot read detections"));
  DetectionsReport out;
  const PageIds chosen = ChooseIds(found, kMaxPageRows);
  if (chosen.ids.size() == 0) return out;
  VD_ASSIGN_OR_RETURN(const PgResult rows,
                      db->Run(kDetections, PgParams().Add(chosen.ids), "cannot read detections"));
  for (int row = 0; row < rows.rows(); ++row) out.rows.push_back(ReadDetection(rows, row));
  VD_RETURN_IF_ERROR(ReadPlates(db, &out.rows));
  return out;
}

absl::StatusOr<PgStored> PgDetectionsOf(PgConnection* db, const PgRange& range) {
  PgStored out;
  out.last = range.until;
  VD_ASSIGN_OR_RETURN(const PgResult found,
                      db->Run("SELECT id, octet_length(payload) FROM detections WHERE id > $2 AND "
                              "id <= $3 AND writer = $1 ORDER BY id LIMIT $4",
                              PgParams()
                                  .Add(range.writer)
                                  .Add(range.after)
                                  .Add(range.until)
                                  .Add(int64_t{range.limit} + 1),
                              "cannot follow another node"));
  const PageIds chosen = ChooseIds(found, range.limit);
  if (chosen.ids.size() == 0) return out;
  if (!chosen.next_cursor.empty()) out.last = chosen.last;
  VD_ASSIGN_OR_RETURN(const PgResult rows, db->Run(kDetections, PgParams().Add(chosen.ids),
                                                   "cannot follow another node"));
  std::vector<DetectionRow> detections;
  for (int row = rows.rows() - 1; row >= 0; --row) detections.push_back(ReadDetection(rows, row));
  VD_RETURN_IF_ERROR(ReadPlates(db, &detections));
  std::vector<const DetectionRecord*> records;
  for (const DetectionRow& row : detections) records.push_back(&row.record);
  VD_ASSIGN_OR_RETURN(const PgBlacklistMatcher listed, PgBlacklistMatcher::Ask(db, records));
  for (DetectionRow& row : detections) {
    std::vector<PlateAlert> alerts = listed.AlertsOf(row.record);
    out.rows.push_back(
        StoredElsewhere{std::move(row.detection_id), std::move(row.record), std::move(alerts)});
  }
  return out;
}

absl::StatusOr<PgStored> PgHealthOf(PgConnection* db, const PgRange& range) {
  // A report is a few hundred octets; what is not is left to those who ask for it.
  VD_ASSIGN_OR_RETURN(
      const PgResult rows,
      db->Run(
          "SELECT h.id, h.message_key, h.message_id, e.device_id, h.checkpoint_id, h.protocol, "
          "h.captured_at, h.arrived_at, h.component, h.status, h.message, h.payload FROM "
          "health_reports h JOIN edge_devices e ON e.id = h.device WHERE h.id > $2 AND h.id <= "
          "$3 AND h.writer = $1 AND octet_length(h.payload) <= 16384 ORDER BY h.id LIMIT $4",
          PgParams().Add(range.writer).Add(range.after).Add(range.until).Add(int64_t{range.limit}),
          "cannot follow another node"));
  PgStored out;
  out.last = rows.rows() < range.limit ? range.until : rows.Int(rows.rows() - 1, 0);
  for (int row = 0; row < rows.rows(); ++row) {
    HealthRecord r;
    r.key = rows.Key(row, 1);
    r.message_id = rows.Text(row, 2);
    r.camera_id = rows.Text(row, 3);
    r.checkpoint_id = rows.Text(row, 4);
    r.protocol = rows.Text(row, 5);
    r.captured_at = rows.Time(row, 6);
    r.arrived_at = rows.Time(row, 7);
    r.component = rows.Text(row, 8);
    r.status = rows.Text(row, 9);
    r.message = rows.Text(row, 10);
    r.payload_json = rows.Text(row, 11);
    std::string id = FormatKey(r.key);
    out.rows.push_back(StoredElsewhere{std::move(id), std::move(r), {}});
  }
  return out;
}

}  // namespace viaduct
