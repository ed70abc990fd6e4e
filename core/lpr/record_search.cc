#include "core/lpr/record_search.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

constexpr int kStep = 16;           // Events that are looked at together.
constexpr int kMaxLooked = 10'000;  // For one page.

// The events of one detection stand together; a page may end between them. Its cursor is that of
// the events and, behind a dot, the detection that was shown last.
class Search {
 public:
  Search(Store* store, RecordSearch search) : store_(store), search_(std::move(search)) {}

  absl::Status Begin() {
    if (search_.cursor.empty()) return absl::OkStatus();
    const size_t dot = search_.cursor.find('.');
    MessageKey key{};
    if (dot == std::string::npos ||
        !ParseKey(std::string_view(search_.cursor).substr(dot + 1), &key)) {
      return absl::InvalidArgumentError("cursor: not one of ours");
    }
    search_.events.cursor = search_.cursor.substr(0, dot);
    last_ = search_.cursor.substr(dot + 1);
    return absl::OkStatus();
  }

  absl::StatusOr<RecordsPage> Run() {
    VD_RETURN_IF_ERROR(Begin());
    const auto wanted = static_cast<size_t>(search_.events.limit);
    int looked = 0;
    int step = kStep;
    while (true) {
      EventsQuery& query = search_.events;
      query.limit = std::min(step, static_cast<int>(wanted - page_.rows.size()));
      VD_ASSIGN_OR_RETURN(const EventsPage events, store_->ListEvents(query));
      VD_ASSIGN_OR_RETURN(const bool whole, Take(events, /*whatever=*/step == 1));
      if (!whole) {  // Large ones: one after the other.
        step = 1;
        continue;
      }
      if (events.next_cursor.empty()) return std::move(page_);
      query.cursor = events.next_cursor;
      looked += query.limit;
      if (page_.rows.size() >= wanted || bytes_ >= kMaxPageBytes || looked >= kMaxLooked) break;
    }
    page_.next_cursor = absl::StrCat(search_.events.cursor, ".", last_);
    return std::move(page_);
  }

 private:
  // False: their detections are too much for one answer, and nothing was taken.
  absl::StatusOr<bool> Take(const EventsPage& events, bool whatever) {
    DetectionsQuery query;
    std::vector<std::string> ids;
    std::string last = last_;
    for (const EventRow& event : events.rows) {
      MessageKey key{};
      if (event.detection_id.empty() || event.detection_id == last) continue;
      if (!ParseKey(event.detection_id, &key) || shown_.contains(event.detection_id)) continue;
      last = event.detection_id;
      query.keys.push_back(key);
      ids.push_back(last);
    }
    if (ids.empty()) return true;
    VD_ASSIGN_OR_RETURN(DetectionsReport report, ReportOf<DetectionsReport>(store_, query));
    if (report.rows.size() < ids.size() && !whatever) return false;
    absl::flat_hash_map<std::string, DetectionRow*> by_id;
    for (DetectionRow& row : report.rows) by_id[row.detection_id] = &row;
    for (const std::string& id : ids) {
      const auto found = by_id.find(id);
      if (found == by_id.end() || !shown_.insert(id).second) continue;
      const DetectionRecord& record = found->second->record;
      if (!search_.checkpoint_id.empty() && record.checkpoint_id != search_.checkpoint_id) continue;
      bytes_ += record.payload_json.size();
      page_.rows.push_back(std::move(*found->second));
    }
    last_ = std::move(last);
    return true;
  }

  Store* const store_;
  RecordSearch search_;
  RecordsPage page_;
  size_t bytes_ = 0;
  std::string last_ = "00000000-0000-0000-0000-000000000000";  // A detection_id.
  absl::flat_hash_set<std::string> shown_;
};

}  // namespace

absl::StatusOr<RecordsPage> SearchRecords(Store* store, RecordSearch search) {
  return Search(store, std::move(search)).Run();
}

}  // namespace viaduct
