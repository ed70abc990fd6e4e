#include "core/store/postgres_readers.h"

#include "absl/strings/str_cat.h"

namespace viaduct {

absl::StatusOr<PostgresReaders::Lease> PostgresReaders::Take() {
  {
    const absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(this, &PostgresReaders::CanTake), options_.max_wait);
    if (!CanTake()) {
      return absl::UnavailableError(absl::StrCat(
          "store: too many readers, all ", options_.max_connections, " connections are busy"));
    }
    if (!free_.empty()) {
      ++leased_;
      std::unique_ptr<PgConnection> db = std::move(free_.back());
      free_.pop_back();
      return Lease(this, std::move(db), /*fresh=*/false);
    }
    if (clock_->MonotonicNanos() < refuse_until_ns_) return refusal_;
    ++leased_;
  }
  absl::StatusOr<std::unique_ptr<PgConnection>> opened = PgConnection::Open(options_.connection);
  if (opened.ok()) return Lease(this, std::move(*opened), /*fresh=*/true);
  const absl::MutexLock lock(&mutex_);
  --leased_;
  refuse_until_ns_ = clock_->MonotonicNanos() + absl::ToInt64Nanoseconds(options_.pause);
  refusal_ = absl::UnavailableError(opened.status().message());
  return refusal_;
}

void PostgresReaders::GiveBack(std::unique_ptr<PgConnection> db) {
  const absl::MutexLock lock(&mutex_);
  --leased_;
  if (!db->broken()) free_.push_back(std::move(db));
}

void PostgresReaders::DropFree() {
  std::vector<std::unique_ptr<PgConnection>> closing;
  const absl::MutexLock lock(&mutex_);
  closing.swap(free_);
}

}  // namespace viaduct
