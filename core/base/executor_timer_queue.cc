#include "core/base/executor_timer_queue.h"

#include <limits>

namespace viaduct {

TimerQueue::TimerQueue(const Clock* clock, Options options) : clock_(clock), options_(options) {}

TimerQueue::~TimerQueue() { Stop(); }

uint64_t TimerQueue::ArmAfter(absl::Duration delay, Task task) {
  const int64_t now = clock_->MonotonicNanos();
  const int64_t wait = std::max<int64_t>(0, absl::ToInt64Nanoseconds(delay));
  const int64_t latest = std::numeric_limits<int64_t>::max() - now;
  return ArmAt(now + std::min(wait, latest), std::move(task));
}

uint64_t TimerQueue::ArmAt(int64_t deadline_ns, Task task) {
  absl::MutexLock lock(&mutex_);
  if (stopping_ || tasks_.size() >= options_.max_timers) return 0;
  const uint64_t id = next_++;
  const bool earliest = tasks_.empty() || deadline_ns < tasks_.begin()->first.first;
  tasks_.emplace(Key(deadline_ns, id), std::move(task));
  deadlines_.emplace(id, deadline_ns);
  if (!thread_.joinable()) {
    thread_ = std::thread([this] { Loop(); });
  } else if (earliest) {
    changed_.SignalAll();
  }
  return id;
}

bool TimerQueue::Cancel(uint64_t timer) {
  Task task;  // Destroyed after the lock is given back: it may own much.
  absl::MutexLock lock(&mutex_);
  const auto deadline = deadlines_.find(timer);
  if (deadline == deadlines_.end()) return false;
  const auto entry = tasks_.find(Key(deadline->second, timer));
  task = std::move(entry->second);
  tasks_.erase(entry);
  deadlines_.erase(deadline);
  return true;
}

bool TimerQueue::CancelAndWait(uint64_t timer) {
  if (Cancel(timer)) return true;
  absl::MutexLock lock(&mutex_);
  while (running_ == timer && timer != 0) changed_.Wait(&mutex_);
  return false;
}

bool TimerQueue::Due() const {
  return !tasks_.empty() && tasks_.begin()->first.first <= clock_->MonotonicNanos();
}

void TimerQueue::Loop() {
  SetThreadName("timers");
  absl::MutexLock lock(&mutex_);
  while (!stopping_) {
    if (!Due()) {
      const int64_t wait_ns = tasks_.empty()
                                  ? std::numeric_limits<int64_t>::max()
                                  : tasks_.begin()->first.first - clock_->MonotonicNanos();
      if (tasks_.empty()) {
        changed_.Wait(&mutex_);
      } else if (wait_ns > 0) {
        changed_.WaitWithTimeout(&mutex_, absl::Nanoseconds(wait_ns));
      }
      continue;
    }
    const auto first = tasks_.begin();
    Task task = std::move(first->second);
    running_ = first->first.second;
    deadlines_.erase(running_);
    tasks_.erase(first);
    mutex_.Unlock();
    task();
    task = nullptr;
    mutex_.Lock();
    running_ = 0;
    changed_.SignalAll();
  }
}

void TimerQueue::Stop() {
  std::thread thread;
  absl::btree_map<Key, Task> forgotten;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    forgotten.swap(tasks_);
    deadlines_.clear();
    thread.swap(thread_);
    changed_.SignalAll();
  }
  if (thread.joinable()) thread.join();
}

void TimerQueue::Wake() {
  absl::MutexLock lock(&mutex_);
  changed_.SignalAll();
}

size_t TimerQueue::size() const {
  absl::MutexLock lock(&mutex_);
  return tasks_.size();
}

}  // namespace viaduct
