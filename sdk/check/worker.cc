#include "worker.h"

#include <algorithm>
#include <future>

namespace viaduct::check {

bool Worker::PostIn(std::chrono::nanoseconds delay, Task task, uint64_t* number) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stopped_) return false;
  // What is due now keeps its order: it all stands at the same, earliest time.
  const Clock::time_point due = delay.count() > 0 ? Clock::now() + delay : Clock::time_point::min();
  tasks_.emplace(std::make_pair(due, ++last_number_), std::move(task));
  if (number != nullptr) *number = last_number_;
  changed_.notify_all();
  return true;
}

bool Worker::Cancel(uint64_t number) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = std::find_if(tasks_.begin(), tasks_.end(), [number](const auto& entry) {
    return entry.first.second == number;
  });
  if (found == tasks_.end()) return false;
  tasks_.erase(found);
  return true;
}

void Worker::RunNow(const Task& task) {
  std::promise<void> done;
  const bool posted = Post([&] {
    task();
    done.set_value();
  });
  if (posted) done.get_future().wait();
}

void Worker::Stop(bool finish) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
    finish_ = finish;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  decltype(tasks_) dropped;  // With what they hold.
  const std::lock_guard<std::mutex> lock(mutex_);
  dropped.swap(tasks_);
}

void Worker::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    const auto first = tasks_.begin();
    const bool due = first != tasks_.end() && first->first.first <= Clock::now();
    if (stopped_ && !(finish_ && due)) return;
    if (due) {
      const Task task = std::move(first->second);
      tasks_.erase(first);
      lock.unlock();
      task();
      lock.lock();
    } else if (first == tasks_.end()) {
      changed_.wait(lock);
    } else {
      const Clock::time_point until = first->first.first;
      changed_.wait_until(lock, until);
    }
  }
}

}  // namespace viaduct::check
