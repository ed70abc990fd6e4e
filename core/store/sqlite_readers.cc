#include "core/store/sqlite_readers.h"

#include "absl/strings/str_cat.h"

namespace viaduct {

SqliteReaders::SqliteReaders(Options options, const Clock* clock)
    : options_(std::move(options)), clock_(clock) {}

bool SqliteReaders::CanTake() const { return !open_ || leased_ < options_.max_connections; }
bool SqliteReaders::AllBack() const { return leased_ == 0; }

absl::StatusOr<SqliteReaders::Lease> SqliteReaders::Take() {
  std::unique_ptr<SqliteDb> db;
  {
    const absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(this, &SqliteReaders::CanTake), options_.max_wait);
    if (!open_)
      return absl::UnavailableError("store: not readable now, the file is being replaced");
    if (leased_ >= options_.max_connections) {
      return absl::UnavailableError(absl::StrCat(
          "store: too many readers, all ", options_.max_connections, " connections are busy"));
    }
    ++leased_;
    if (!free_.empty()) {
      db = std::move(free_.back());
      free_.pop_back();
    }
  }
  if (db == nullptr) {
    SqliteDb::Options options;
    options.read_only = true;
    options.cache_kib = options_.cache_kib;
    auto opened = SqliteDb::Open(options_.path, options, clock_);
    if (!opened.ok()) {
      const absl::MutexLock lock(&mutex_);
      --leased_;
      return opened.status();
    }
    db = std::move(*opened);
  }
  db->SetDeadline(clock_->MonotonicNanos() + absl::ToInt64Nanoseconds(options_.deadline));
  return Lease(this, std::move(db));
}

void SqliteReaders::GiveBack(std::unique_ptr<SqliteDb> db) {
  const absl::MutexLock lock(&mutex_);
  --leased_;
  if (open_) free_.push_back(std::move(db));
}

void SqliteReaders::Close() {
  std::vector<std::unique_ptr<SqliteDb>> closing;
  const absl::MutexLock lock(&mutex_);
  open_ = false;
  mutex_.Await(absl::Condition(this, &SqliteReaders::AllBack));
  closing.swap(free_);
}

void SqliteReaders::Open() {
  const absl::MutexLock lock(&mutex_);
  open_ = true;
}

}  // namespace viaduct
