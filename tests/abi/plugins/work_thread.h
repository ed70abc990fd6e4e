// One thread with a queue, as the plugins of this folder need it.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace viaduct::abi_test {

// Thread-safe. Items are given to `work` one at a time, on the thread.
template <typename Item>
class WorkThread {
 public:
  using Work = std::function<void(Item&)>;

  WorkThread(size_t capacity, Work work) : capacity_(capacity), work_(std::move(work)) {}
  ~WorkThread() { Stop(); }

  void Start() {
    thread_ = std::thread([this] { Run(); });
  }
  // Ends the thread and gives back what it had not begun.
  std::deque<Item> Stop() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
      changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
    return std::exchange(items_, {});
  }
  bool Push(Item item) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (items_.size() + working_ >= capacity_) return false;
    items_.push_back(std::move(item));
    changed_.notify_all();
    return true;
  }
  size_t Room() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return capacity_ - items_.size() - working_;
  }
  template <typename Time>
  bool AwaitIdle(Time limit) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, limit, [this] { return items_.empty() && working_ == 0; });
  }

 private:
  void Run() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return stopping_ || !items_.empty(); });
      if (stopping_) return;
      Item item = std::move(items_.front());
      items_.pop_front();
      working_ = 1;
      lock.unlock();
      work_(item);
      lock.lock();
      working_ = 0;
      changed_.notify_all();
    }
  }

  const size_t capacity_;
  const Work work_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> items_;
  size_t working_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace viaduct::abi_test
