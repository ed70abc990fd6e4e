// Records by what cameras have read in them and when.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "core/store/store.h"

namespace viaduct {

struct RecordSearch {
  EventsQuery events;         // Its cursor is not used.
  std::string checkpoint_id;  // "" any
  std::string cursor;         // next_cursor of the page before.
};

// Found by their events, so the newest capture is first, and a record whose events were deleted is
// not found. A page may be short, or empty, and have a next one all the same: only so many events
// are looked at for one. RecordsPage::total is not counted.
absl::StatusOr<RecordsPage> SearchRecords(Store* store, RecordSearch search);

}  // namespace viaduct
