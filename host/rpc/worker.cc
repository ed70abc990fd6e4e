#include "host/rpc/worker.h"

namespace viaduct::rpc {

Worker::~Worker() { Stop(); }

absl::Status Worker::Post(std::function<void()> task) {
  absl::MutexLock lock(&mutex_);
  if (stopping_) return absl::UnavailableError("control: the node is stopping");
  if (queue_.size() >= kMaxQueued) {
    return absl::ResourceExhaustedError("control: too many calls are waiting, try again later");
  }
  queue_.push_back(std::move(task));
  if (static_cast<size_t>(idle_) < queue_.size() && threads_.size() < kMaxThreads) {
    threads_.emplace_back([this] { Run(); });
  }
  return absl::OkStatus();
}

void Worker::Stop() {
  std::vector<std::thread> threads;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    threads.swap(threads_);
  }
  for (auto& thread : threads) thread.join();
}

void Worker::Run() {
  while (true) {
    std::function<void()> task;
    {
      absl::MutexLock lock(&mutex_);
      ++idle_;
      auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopping_ || !queue_.empty();
      };
      mutex_.Await(absl::Condition(&has_work));
      --idle_;
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    task();
  }
}

}  // namespace viaduct::rpc
