// The reading connections of the PostgreSQL store: a few, opened when needed, leased to one query
// each.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/store/postgres_connection.h"

namespace viaduct {

// Thread-safe.
class PostgresReaders {
 public:
  struct Options {
    PgConnection::Options connection;
    int max_connections = 4;
    absl::Duration max_wait = absl::Seconds(5);  // For a connection to become free.
    // After a failed attempt readers are refused at once for so long: while the database is away
    // nobody waits for it.
    absl::Duration pause = absl::Milliseconds(500);
  };

  // A leased connection. It goes back at the end of the scope, unless it is broken.
  class Lease {
   public:
    Lease(PostgresReaders* pool, std::unique_ptr<PgConnection> db, bool fresh)
        : pool_(pool), db_(std::move(db)), fresh_(fresh) {}
    Lease(Lease&&) noexcept = default;
    ~Lease() {
      if (pool_ != nullptr && db_ != nullptr) pool_->GiveBack(std::move(db_));
    }
    PgConnection* db() { return db_.get(); }
    bool fresh() const { return fresh_; }  // Opened for this lease.

   private:
    PostgresReaders* const pool_;
    std::unique_ptr<PgConnection> db_;
    const bool fresh_;
  };

  PostgresReaders(Options options, const Clock* clock)
      : options_(std::move(options)), clock_(clock) {}

  // UNAVAILABLE when every connection stays busy or none can be made.
  absl::StatusOr<Lease> Take();
  // Closes the connections that are free: the server was restarted.
  void DropFree();

 private:
  bool CanTake() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return leased_ < options_.max_connections;
  }
  void GiveBack(std::unique_ptr<PgConnection> db);

  const Options options_;
  const Clock* const clock_;
  absl::Mutex mutex_;
  std::vector<std::unique_ptr<PgConnection>> free_ ABSL_GUARDED_BY(mutex_);
  int leased_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t refuse_until_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct
