// Pages of detections.
#include <cstring>
#include <limits>
#include <queue>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/store/sqlite_queries.h"
#include "core/store/sqlite_query_parts.h"

namespace viaduct {
namespace {

// More sources than this match so much of the table that walking it backwards finds them soon.
constexpr size_t kMaxMergedSources = 64;
// A page that begins deeper in the lists than this is found by walking, too.
constexpr int kMaxSkippedRows = 100'000;
constexpr int kPreviousColumn = 15;

constexpr std::string_view kDetectionColumns =
    "d.id, d.message_key, d.message_id, e.device_id, s.checkpoint_id, d.protocol, d.captured_at, "
    "d.arrived_at, d.vehicles_count, d.plates_count, d.image_path, d.plate_images, d.note, "
    "d.metadata, d.payload, d.previous FROM detections d JOIN sources s ON s.id = d.source JOIN "
    "edge_devices "
    "e ON e.id = s.device";

DetectionRow ReadDetection(const SqliteStatement& row) {
  DetectionRow out;
  DetectionRecord& r = out.record;
  const std::string_view key = row.View(1);
  if (key.size() == r.key.size()) std::memcpy(r.key.data(), key.data(), key.size());
  out.detection_id = FormatKey(r.key);
  r.message_id = row.Text(2);
  r.camera_id = row.Text(3);
  r.checkpoint_id = row.Text(4);
  r.protocol = row.Text(5);
  r.captured_at = TimeAt(row, 6);
  r.arrived_at = TimeAt(row, 7);
  r.vehicles_count = static_cast<int32_t>(row.Int(8));
  r.plates_count = static_cast<int32_t>(row.Int(9));
  r.image_path = row.Text(10);
  r.plate_images = SplitLines(row.View(11));
  r.note = row.Text(12);
  r.metadata_json = JsonAt(row, 13);
  r.payload_json = row.Text(14);
  return out;
}

// The lpr_events of a detection are found by the beginning of their id.
absl::Status ReadPlates(SqliteStatement* statement, DetectionRow* row) {
  const StatementScope scope(statement);
  const std::string first = absl::StrCat(row->detection_id, "-");
  const std::string past = absl::StrCat(row->detection_id, ".");  // '.' follows '-'.
  statement->Bind(1, std::string_view(first));
  statement->Bind(2, std::string_view(past));
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool more, statement->Next("cannot read plates"));
    if (!more) return absl::OkStatus();
    if (statement->IsNull(0)) continue;
    PlateRead plate;
    plate.text = statement->Text(0);
    plate.confidence = RealAt(*statement, 1);
    plate.metadata_json = JsonAt(*statement, 2);
    plate.image_path = statement->Text(3);
    row->record.plates.push_back(std::move(plate));
  }
}

absl::Status ReadPlatesOf(SqliteDb* db, std::vector<DetectionRow>* rows) {
  VD_ASSIGN_OR_RETURN(SqliteStatement plates,
                      db->Prepare("SELECT license_plate, confidence, metadata, image_path FROM "
                                  "lpr_events WHERE event_id >= ? AND event_id < ? ORDER BY id"));
  for (DetectionRow& row : *rows) VD_RETURN_IF_ERROR(ReadPlates(&plates, &row));
  return absl::OkStatus();
}

struct KeyedDetection {
  int64_t id;  // Row number, the order of arrival.
  DetectionRow row;
};

// What has been read for a page, until it is full: one row more than asked for, to know whether
// there are more, or as many octets as one page may have.
class DetectionsRead {
 public:
  explicit DetectionsRead(int limit) : limit_(static_cast<size_t>(limit)) {}

  void Add(int64_t id, DetectionRow row) {
    bytes_ += row.record.payload_json.size();
    rows_.push_back(KeyedDetection{id, std::move(row)});
  }
  size_t most() const { return limit_ + 1; }
  bool full() const { return rows_.size() > limit_ || bytes_ >= kMaxPageBytes; }
  void Clear() {
    rows_.clear();
    bytes_ = 0;
  }
  void MoveTo(RecordsPage* page) {
    if (full()) {
      if (rows_.size() > 1) rows_.pop_back();
      page->next_cursor = absl::StrCat(rows_.back().id);
    }
    for (KeyedDetection& row : rows_) page->rows.push_back(std::move(row.row));
    Clear();
  }

 private:
  const size_t limit_;
  size_t bytes_ = 0;
  std::vector<KeyedDetection> rows_;
};

struct SourceRef {
  int64_t id = 0;
  int64_t newest = 0;  // Row number of its newest detection; 0: none.
};

struct MatchingSources {
  std::vector<SourceRef> sources;
  int64_t detections = 0;
};

absl::StatusOr<MatchingSources> FindSources(SqliteDb* db, const RecordsQuery& query) {
  Filter filter;
  if (!query.camera_id.empty()) filter.Add("e.device_id = ?", query.camera_id);
  if (!query.checkpoint_id.empty()) filter.Add("s.checkpoint_id = ?", query.checkpoint_id);
  VD_ASSIGN_OR_RETURN(
      SqliteStatement statement,
      db->Prepare(absl::StrCat("SELECT s.id, s.newest, s.detections FROM sources s JOIN "
                               "edge_devices e ON e.id = s.device",
                               filter.sql())));
  filter.BindTo(&statement);
  MatchingSources out;
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool more, statement.Next("cannot find sources"));
    if (!more) return out;
    out.sources.push_back(SourceRef{statement.Int(0), statement.Int(1)});
    out.detections += statement.Int(2);
  }
}

// Follows the lists of a few sources (sources.newest, then detections.previous), always taking the
// newest head, until there are enough rows below `before`. *complete is false when a list is
// broken (rows lost with a damaged file) or the start lies too deep in it.
absl::Status ReadByLists(SqliteDb* db, const MatchingSources& matching, int64_t before,
                         DetectionsRead* rows, bool* complete) {
  VD_ASSIGN_OR_RETURN(
      SqliteStatement row,
      db->Prepare(absl::StrCat("SELECT ", AbslView(kDetectionColumns), " WHERE d.id = ?")));
  VD_ASSIGN_OR_RETURN(SqliteStatement skip,
                      db->Prepare("SELECT previous FROM detections WHERE id = ?"));
  std::priority_queue<int64_t> heads;
  for (const SourceRef& source : matching.sources) {
    if (source.newest != 0) heads.push(source.newest);
  }
  *complete = false;
  // What stood below all that is there was forgotten for its age: there a list ends.
  VD_ASSIGN_OR_RETURN(const int64_t oldest,
                      db->QueryInt("SELECT coalesce(min(id), 0) FROM detections"));
  int steps = 0;
  while (!heads.empty() && !rows->full()) {
    const int64_t id = heads.top();
    heads.pop();
    if (id < oldest) continue;
    const bool wanted = id < before;
    if (!wanted && ++steps > kMaxSkippedRows) return absl::OkStatus();
    SqliteStatement* const statement = wanted ? &row : &skip;
    const StatementScope scope(statement);
    statement->Bind(1, id);
    VD_ASSIGN_OR_RETURN(const bool found, statement->Next("cannot read a detection"));
    if (!found) return absl::OkStatus();
    if (wanted) rows->Add(id, ReadDetection(*statement));
    const int64_t previous = statement->Int(wanted ? kPreviousColumn : 0);
    if (previous != 0 && previous < id) heads.push(previous);
  }
  *complete = true;
  return absl::OkStatus();
}

// From the end of the table; the deadline of the connection bounds it.
absl::Status ReadByWalking(SqliteDb* db, const RecordsQuery& query, int64_t before,
                           DetectionsRead* rows) {
  Filter filter;
  filter.Add("d.id < ?", before);
  if (!query.camera_id.empty()) {
    filter.Add(
        "d.source IN (SELECT id FROM sources WHERE device = (SELECT id FROM edge_devices WHERE "
        "device_id = ?))",
        query.camera_id);
  }
  if (!query.checkpoint_id.empty()) {
    filter.Add("d.source IN (SELECT id FROM sources WHERE checkpoint_id = ?)", query.checkpoint_id);
  }
  VD_ASSIGN_OR_RETURN(SqliteStatement statement,
                      db->Prepare(absl::StrCat("SELECT ", AbslView(kDetectionColumns), filter.sql(),
                                               " ORDER BY d.id DESC LIMIT ", rows->most())));
  filter.BindTo(&statement);
  const StatementScope scope(&statement);
  while (!rows->full()) {
    VD_ASSIGN_OR_RETURN(const bool more, statement.Next("cannot read detections"));
    if (!more) return absl::OkStatus();
    rows->Add(statement.Int(0), ReadDetection(statement));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RecordsPage> QueryRecords(SqliteDb* db, const RecordsQuery& query) {
  RecordsPage page;
  int64_t before = std::numeric_limits<int64_t>::max();
  if (!query.cursor.empty()) {
    VD_ASSIGN_OR_RETURN(before, ParseCursor(query.cursor));
  }
  DetectionsRead rows(ClampLimit(query.limit));
  if (query.camera_id.empty() && query.checkpoint_id.empty()) {
    VD_ASSIGN_OR_RETURN(page.total, CounterValue(db, "detections"));
    VD_RETURN_IF_ERROR(ReadByWalking(db, query, before, &rows));
  } else {
    VD_ASSIGN_OR_RETURN(const MatchingSources sources, FindSources(db, query));
    page.total = sources.detections;
    bool complete = false;
    if (sources.sources.size() <= kMaxMergedSources) {
      VD_RETURN_IF_ERROR(ReadByLists(db, sources, before, &rows, &complete));
    }
    if (!complete) {
      rows.Clear();
      VD_RETURN_IF_ERROR(ReadByWalking(db, query, before, &rows));
    }
  }
  rows.MoveTo(&page);
  VD_RETURN_IF_ERROR(ReadPlatesOf(db, &page.rows));
  return page;
}

absl::StatusOr<DetectionsReport> QueryDetections(SqliteDb* db, const DetectionsQuery& query) {
  VD_ASSIGN_OR_RETURN(SqliteStatement statement,
                      db->Prepare(absl::StrCat("SELECT ", AbslView(kDetectionColumns),
                                               " WHERE d.message_key = ?")));
  DetectionsReport out;
  size_t bytes = 0;
  for (const MessageKey& key : query.keys) {
    if (bytes >= kMaxPageBytes || out.rows.size() == kMaxPageRows) break;
    const StatementScope scope(&statement);
    statement.BindBlob(1, key.data(), key.size());
    VD_ASSIGN_OR_RETURN(const bool found, statement.Next("cannot read a detection"));
    if (!found) continue;
    out.rows.push_back(ReadDetection(statement));
    bytes += out.rows.back().record.payload_json.size();
  }
  VD_RETURN_IF_ERROR(ReadPlatesOf(db, &out.rows));
  return out;
}

}  // namespace viaduct
