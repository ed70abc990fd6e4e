// The store that a configuration names.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "core/config/node_config.h"
#include "core/observe/log.h"
#include "core/store/postgres_connection.h"
#include "core/store/store.h"

namespace viaduct {

PostgresAddress AddressOf(const PostgresOptionsConfig& config);

// As OpenSqliteStore and OpenPostgresStore.
absl::StatusOr<std::unique_ptr<Store>> OpenStore(const NodeConfig& config, const Clock* clock,
                                                 Log* log);

}  // namespace viaduct
