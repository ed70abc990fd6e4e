// The read queries of the PostgreSQL store. Each runs on one read-only connection whose statements
// end by the server's clock.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/store/postgres_connection.h"
#include "core/store/store.h"

namespace viaduct {

// `active_since`: cameras seen from then on are active. `day`: today's name in daily_counters.
absl::StatusOr<StoreStatistics> PgStatistics(PgConnection* db, absl::Time active_since,
                                             std::string_view day);
absl::StatusOr<RecordsPage> PgRecords(PgConnection* db, const RecordsQuery& query);
absl::StatusOr<DevicesPage> PgDevices(PgConnection* db, int limit, std::string_view cursor);
absl::StatusOr<DeviceRow> PgDevice(PgConnection* db, std::string_view device_id);
absl::StatusOr<EventsPage> PgEvents(PgConnection* db, const EventsQuery& query);
absl::StatusOr<EventRow> PgEvent(PgConnection* db, std::string_view event_id);
absl::StatusOr<CommunicationPage> PgCommunication(PgConnection* db,
                                                  const CommunicationQuery& query);
absl::StatusOr<bool> PgHasDetection(PgConnection* db, const MessageKey& key);

// jsonb's text without the spaces between its parts: what is stored is answered as short as it
// came.
std::string CompactJson(std::string_view json);

}  // namespace viaduct
