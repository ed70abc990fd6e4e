#include "core/store/postgres_doubts.h"

#include <algorithm>

namespace viaduct {

void PostgresDoubts::Add(const Range& range) {
  const absl::MutexLock lock(&mutex_);
  if (!waiting_.has_value()) waiting_ = range;
  waiting_->until.detection = std::max(waiting_->until.detection, range.until.detection);
  waiting_->until.health_report =
      std::max(waiting_->until.health_report, range.until.health_report);
}

std::optional<PostgresDoubts::Range> PostgresDoubts::Waiting() const {
  const absl::MutexLock lock(&mutex_);
  return waiting_;
}

void PostgresDoubts::Done(const PgPlace& until) {
  const absl::MutexLock lock(&mutex_);
  if (!waiting_.has_value()) return;
  waiting_->after = until;
  if (waiting_->until.detection <= until.detection &&
      waiting_->until.health_report <= until.health_report) {
    waiting_.reset();
  }
}

}  // namespace viaduct
