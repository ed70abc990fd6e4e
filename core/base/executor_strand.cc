#include "core/base/executor_strand.h"

#include <utility>

namespace viaduct {

Strand::Strand(Executor* executor, Options options)
    : executor_(executor), options_(std::move(options)) {}

bool Strand::TryEnter() {
  absl::MutexLock lock(&mutex_);
  if (closed_) return false;
  if (busy_ || scheduled_) {
    wanted_ = true;
    return false;
  }
  busy_ = true;
  return true;
}

void Strand::Exit() {
  bool tell = false;
  {
    absl::MutexLock lock(&mutex_);
    busy_ = false;
    if (!queue_.empty()) {
      ScheduleLocked();
    } else {
      tell = std::exchange(wanted_, false);
    }
  }
  if (tell && options_.on_idle) options_.on_idle();
}

bool Strand::Post(Task task) {
  absl::MutexLock lock(&mutex_);
  if (closed_ || queue_.size() >= options_.max_queued) return false;
  queue_.push_back(std::move(task));
  if (busy_ || scheduled_) return true;  // Exit or the Drain under way will see it.
  if (ScheduleLocked()) return true;
  queue_.pop_back();
  return false;
}

bool Strand::ScheduleLocked() {
  scheduled_ = executor_->Submit([self = shared_from_this()] { self->Drain(); });
  return scheduled_;
}

void Strand::Drain() {
  bool tell = false;
  {
    absl::MutexLock lock(&mutex_);
    busy_ = true;
    for (int ran = 0; ran < options_.max_run && !queue_.empty(); ++ran) {
      Task task = std::move(queue_.front());
      queue_.pop_front();
      mutex_.Unlock();
      task();
      task = nullptr;
      mutex_.Lock();
    }
    busy_ = false;
    scheduled_ = false;
    if (!queue_.empty()) {
      ScheduleLocked();
    } else {
      tell = std::exchange(wanted_, false);
    }
  }
  if (tell && options_.on_idle) options_.on_idle();
}

bool Strand::RestingLocked() const { return !busy_ && !scheduled_ && queue_.empty(); }

bool Strand::Close(absl::Duration limit) {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
  return mutex_.AwaitWithTimeout(absl::Condition(this, &Strand::RestingLocked), limit);
}

}  // namespace viaduct
