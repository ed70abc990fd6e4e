// Follows what other nodes store in the same database.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/observe/log.h"
#include "core/store/postgres_connection.h"
#include "core/store/postgres_doubts.h"
#include "core/store/postgres_presence.h"
#include "core/store/postgres_queries.h"
#include "core/store/store.h"

namespace viaduct {

// One thread with one connection that LISTENs. A notification only wakes it: what is new it reads
// from the tables, by the numbers that each node notes with its commits, so that a notification
// that was missed (a lost connection, a restart of the server) costs nothing but time.
class PostgresFeed final : public StoreWatch {
 public:
  static constexpr int kMaxRowsAtOnce = 500;
  // Of one kind and node, in one look; who is further behind goes on with the newest.
  static constexpr int64_t kMaxBehind = 10'000;

  struct Options {
    PgConnection::Options connection;
    std::string node_id;                            // Its own rows are left out.
    absl::Duration look_every = absl::Seconds(2);   // Also without a notification.
    absl::Duration pause = absl::Seconds(1);        // After a failed attempt to connect.
    absl::Duration node_lease = absl::Seconds(15);  // As PostgresStoreOptions.
  };

  // `doubts`, `clock` and `log` must outlive the feed.
  PostgresFeed(Options options, StoreObserver observer, PostgresDoubts* doubts, const Clock* clock,
               Log* log);
  ~PostgresFeed() override;

 private:
  void Loop();
  absl::Status Serve();
  absl::Status Connect();
  absl::Status AwaitNews();
  absl::Status Look();
  absl::Status Follow(int64_t writer, const PgPlace& newest, PgPlace* place);
  absl::Status TellDoubts(int64_t writer, bool wanted);
  absl::Status FollowCameras(const PgResult& writers);
  using Query = absl::StatusOr<PgStored> (*)(PgConnection* db, const PgRange& range);
  absl::Status FollowTable(Query query, int64_t writer, int64_t newest, int64_t* place);

  const Options options_;
  const StoreObserver observer_;
  PostgresDoubts* const doubts_;
  Log* const log_;

  // The thread's own.
  std::unique_ptr<PgConnection> db_;
  absl::flat_hash_map<int64_t, PgPlace> places_;  // Last rows that were told, by writer.
  PostgresCameras cameras_;
  PgPlace head_;        // The newest of all writers at the last look: where a new one begins.
  bool told_ = false;   // That it cannot follow; once, until it can.
  bool begun_ = false;  // places_ has what was there when the watch began.

  absl::Notification stopping_;
  std::thread thread_;
};

}  // namespace viaduct
