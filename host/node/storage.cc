#include "host/node/storage.h"

#include "core/store/postgres_store.h"
#include "core/store/sqlite_store.h"

namespace viaduct {

PostgresAddress AddressOf(const PostgresOptionsConfig& config) {
  PostgresAddress address;
  address.url = config.url;
  address.host = config.host;
  address.port = static_cast<int>(config.port);
  address.database = config.database;
  address.user = config.user;
  address.password = config.password;
  address.ssl_mode = config.ssl_mode;
  address.ssl_ca = config.ssl_ca;
  address.ssl_certificate = config.ssl_certificate;
  address.ssl_key = config.ssl_key;
  return address;
}

absl::StatusOr<std::unique_ptr<Store>> OpenStore(const NodeConfig& config, const Clock* clock,
                                                 Log* log) {
  if (!config.store.postgresql.has_value()) {
    SqliteStoreOptions options;
    options.path = config.store.sqlite_path;
    options.zone = config.node.timezone;
    return OpenSqliteStore(options, clock, log);
  }
  PostgresStoreOptions options;
  options.address = AddressOf(*config.store.postgresql);
  options.node_id = config.node.id;
  options.zone = config.node.timezone;
  options.max_readers = static_cast<int>(config.store.postgresql->pool_size);
  options.connect_timeout = config.store.postgresql->connect_timeout;
  return OpenPostgresStore(options, clock, log);
}

}  // namespace viaduct
