// The read queries of the PostgreSQL store. Each runs on one read-only connection whose statements
// end by the server's clock.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/store/postgres_connection.h"
#include "core/store/store.h"

namespace viaduct {

// `active_since`: cameras seen from then on are active. `day`: today's name in daily_counters.
absl::StatusOr<StoreStatistics> PgStatistics(PgConnection* db, absl::Time active_since,
                                             std::string_view day);
absl::StatusOr<RecordsPage> PgRecords(PgConnection* db, const RecordsQuery& query);
absl::StatusOr<std::vector<SilentDevice>> PgSilent(PgConnection* db, absl::Time since, int limit,
                                                   int64_t after);
absl::StatusOr<DevicesPage> PgDevices(PgConnection* db, int limit, std::string_view cursor);
absl::StatusOr<DeviceRow> PgDevice(PgConnection* db, std::string_view device_id);
absl::StatusOr<EventsPage> PgEvents(PgConnection* db, const EventsQuery& query);
absl::StatusOr<EventRow> PgEvent(PgConnection* db, std::string_view event_id);
absl::StatusOr<CommunicationPage> PgCommunication(PgConnection* db,
                                                  const CommunicationQuery& query);
absl::StatusOr<BlacklistPage> PgBlacklist(PgConnection* db, int limit, std::string_view cursor);
absl::StatusOr<FileTransferRow> PgFileTransfer(PgConnection* db, std::string_view transfer_id);
absl::StatusOr<std::vector<FileTransferRow>> PgFileTransfers(PgConnection* db,
                                                             const FileTransfersQuery& query);
absl::StatusOr<KeptPage> PgKept(PgConnection* db, const KeptQuery& query,
                                const std::string& node_id);
absl::StatusOr<StoreReport> PgReport(PgConnection* db, const ReportQuery& query);
// Of DetectionsQuery.
absl::StatusOr<DetectionsReport> PgDetections(PgConnection* db, const DetectionsQuery& query);
absl::StatusOr<bool> PgHasDetection(PgConnection* db, const MessageKey& key);

// Which plates of some detections are on the blacklist. Thread-compatible.
class PgBlacklistMatcher {
 public:
  static absl::StatusOr<PgBlacklistMatcher> Ask(
      PgConnection* db, const std::vector<const DetectionRecord*>& detections);
  bool empty() const { return reasons_.empty(); }
  std::vector<PlateAlert> AlertsOf(const DetectionRecord& detection) const;

 private:
  absl::flat_hash_map<std::string, std::string> reasons_;  // By PlateKey.
};

// A piece of what one node has stored: rows with numbers in (after, until], oldest first, at most
// `limit` and about kMaxPageBytes. `last` is the number of the last of them, `until` when there are
// no more.
struct PgStored {
  std::vector<StoredElsewhere> rows;
  int64_t last = 0;
};
struct PgRange {
  int64_t writer = 0;
  int64_t after = 0;
  int64_t until = 0;
  int limit = 0;
};
absl::StatusOr<PgStored> PgDetectionsOf(PgConnection* db, const PgRange& range);
absl::StatusOr<PgStored> PgHealthOf(PgConnection* db, const PgRange& range);

// jsonb's text without the spaces between its parts: what is stored is answered as short as it
// came.
std::string CompactJson(std::string_view json);

}  // namespace viaduct
