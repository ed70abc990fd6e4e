// A small pool of reading connections.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/store/sqlite_db.h"

namespace viaduct {

// Thread-safe.
class SqliteReaders {
 public:
  struct Options {
    std::string path;
    int max_connections = 4;
    int cache_kib = 1024;
    absl::Duration deadline = absl::Seconds(5);  // Of one query.
    absl::Duration max_wait = absl::Seconds(2);  // For a free connection.
  };

  // A connection that is given back when the scope ends.
  class Lease {
   public:
    Lease(SqliteReaders* pool, std::unique_ptr<SqliteDb> db) : pool_(pool), db_(std::move(db)) {}
    Lease(Lease&& other) noexcept : pool_(other.pool_), db_(std::move(other.db_)) {}
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (db_ != nullptr) pool_->GiveBack(std::move(db_));
    }
    SqliteDb* db() { return db_.get(); }

   private:
    SqliteReaders* const pool_;
    std::unique_ptr<SqliteDb> db_;
  };

  SqliteReaders(Options options, const Clock* clock);

  // UNAVAILABLE when every connection stays busy or the pool is closed.
  absl::StatusOr<Lease> Take();

  // Waits until all leases are back and closes the connections; Take fails until Open.
  void Close();
  void Open();

 private:
  bool CanTake() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool AllBack() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void GiveBack(std::unique_ptr<SqliteDb> db);

  const Options options_;
  const Clock* const clock_;
  absl::Mutex mutex_;
  std::vector<std::unique_ptr<SqliteDb>> free_ ABSL_GUARDED_BY(mutex_);
  int leased_ ABSL_GUARDED_BY(mutex_) = 0;
  bool open_ ABSL_GUARDED_BY(mutex_) = true;
};

}  // namespace viaduct
