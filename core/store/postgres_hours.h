// How many detections came in each hour: what a group adds and takes away, and those that were
// stored before anybody counted. Internal to core/store.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "core/store/postgres_connection.h"

namespace viaduct {

inline constexpr int64_t kCountedAtOnce = 20'000;  // Rows of one transaction.

// Thread-compatible.
class PgHourCounts {
 public:
  void Add(int64_t source, absl::Time arrived, int64_t detections, int64_t plates);
  // Into the rows of this writer, which nobody else changes: what it takes away may be another's,
  // whose rows it leaves alone. All writers together are the truth.
  absl::Status Write(PgConnection* db, int64_t writer) const;

 private:
  struct Counts {
    int64_t detections = 0;
    int64_t plates = 0;
  };
  std::map<std::pair<int64_t, int64_t>, Counts> counts_;  // By source, or 0, and hour.
};

// Which detections are not counted yet, until the end of the transaction.
struct PgPendingHours {
  int64_t next_id = 0;
  int64_t until_id = -1;
  bool Has(int64_t id) const { return id >= next_id && id <= until_id; }
};
absl::StatusOr<PgPendingHours> LockPendingHours(PgConnection* db);

// Beside the writing, piece by piece; whoever is interrupted goes on where that was. OK when all
// are counted, or `stopping` has come.
absl::Status CountEarlierDetections(PgConnection* db, const absl::Notification& stopping);

}  // namespace viaduct
