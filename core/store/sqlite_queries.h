// The read queries of the SQLite store. Each runs on one connection with its deadline set.
#pragma once

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/store/sqlite_db.h"
#include "core/store/store.h"

namespace viaduct {

struct StatisticsOptions {
  absl::TimeZone zone = absl::UTCTimeZone();
  absl::Duration active_window = absl::Minutes(5);
  absl::Time now;
};

absl::StatusOr<StoreStatistics> QueryStatistics(SqliteDb* db, const StatisticsOptions& options);
absl::StatusOr<RecordsPage> QueryRecords(SqliteDb* db, const RecordsQuery& query);
absl::StatusOr<DevicesPage> QueryDevices(SqliteDb* db, int limit, std::string_view cursor);
absl::StatusOr<std::vector<SilentDevice>> QuerySilent(SqliteDb* db, absl::Time since, int limit,
                                                      int64_t after);
absl::StatusOr<DeviceRow> QueryDevice(SqliteDb* db, std::string_view device_id);
absl::StatusOr<EventsPage> QueryEvents(SqliteDb* db, const EventsQuery& query);
absl::StatusOr<EventRow> QueryEvent(SqliteDb* db, std::string_view event_id);
absl::StatusOr<CommunicationPage> QueryCommunication(SqliteDb* db, const CommunicationQuery& query);
absl::StatusOr<BlacklistPage> QueryBlacklist(SqliteDb* db, int limit, std::string_view cursor);
absl::StatusOr<FileTransferRow> QueryFileTransfer(SqliteDb* db, std::string_view transfer_id);
absl::StatusOr<std::vector<FileTransferRow>> QueryFileTransfers(SqliteDb* db,
                                                                const FileTransfersQuery& query);
absl::StatusOr<KeptPage> QueryKept(SqliteDb* db, const KeptQuery& query);
absl::StatusOr<StoreReport> QueryReport(SqliteDb* db, const ReportQuery& query);
// Of DetectionsQuery.
absl::StatusOr<DetectionsReport> QueryDetections(SqliteDb* db, const DetectionsQuery& query);
absl::StatusOr<bool> QueryHasDetection(SqliteDb* db, const MessageKey& key);

}  // namespace viaduct
