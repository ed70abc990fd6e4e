#include "core/base/executor.h"

#include <pthread.h>

#include <algorithm>
#include <deque>
#include <system_error>
#include <utility>

namespace viaduct {
namespace {

constexpr size_t kMaxThreadName = 15;  // Of the kernel, without the NUL.

thread_local const void* current_pool = nullptr;  // The state of the pool that has this thread.

}  // namespace

void SetThreadName(std::string_view name) {
  const std::string cut(name.substr(0, kMaxThreadName));
  pthread_setname_np(pthread_self(), cut.c_str());
}

struct ThreadPool::State {
  explicit State(Options o) : options(std::move(o)) {}

  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex) { return stopping || !queue.empty(); }
  bool AllEnded() const ABSL_SHARED_LOCKS_REQUIRED(mutex) {
    return std::all_of(ended.begin(), ended.end(), [](bool e) { return e; });
  }

  const Options options;
  mutable absl::Mutex mutex;
  std::deque<Task> queue ABSL_GUARDED_BY(mutex);
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  int idle ABSL_GUARDED_BY(mutex) = 0;
  std::vector<std::thread> threads ABSL_GUARDED_BY(mutex);
  std::vector<bool> ended ABSL_GUARDED_BY(mutex);
};

ThreadPool::ThreadPool(Options options)
    : state_(std::make_shared<State>([&options] {
        options.threads = std::clamp(options.threads, 1, kMaxThreads);
        return std::move(options);
      }())) {}

ThreadPool::~ThreadPool() { Stop(); }

bool ThreadPool::Submit(Task task) {
  State& state = *state_;
  absl::MutexLock lock(&state.mutex);
  if (state.stopping || state.queue.size() >= state.options.max_queued) return false;
  state.queue.push_back(std::move(task));
  const int started = static_cast<int>(state.threads.size());
  if (static_cast<size_t>(state.idle) < state.queue.size() && started < state.options.threads) {
    if (!StartThread(state_, started) && started == 0) {
      state.queue.pop_back();
      return false;
    }
  }
  return true;
}

bool ThreadPool::StartThread(const std::shared_ptr<State>& state, int index) {
  state->mutex.AssertHeld();
  try {
    state->threads.emplace_back([state, index] { Loop(state, index); });
  } catch (const std::system_error&) {  // No more threads in this process.
    return false;
  }
  state->ended.push_back(false);
  return true;
}

void ThreadPool::Loop(const std::shared_ptr<State>& state, int index) {
  SetThreadName(state->options.name);
  current_pool = state.get();
  absl::MutexLock lock(&state->mutex);
  while (true) {
    ++state->idle;
    state->mutex.Await(absl::Condition(state.get(), &State::HasWork));
    --state->idle;
    if (state->queue.empty()) break;
    Task task = std::move(state->queue.front());
    state->queue.pop_front();
    state->mutex.Unlock();
    task();
    task = nullptr;  // What it held goes before the lock is taken.
    state->mutex.Lock();
  }
  state->ended[static_cast<size_t>(index)] = true;
}

int ThreadPool::Stop(absl::Duration limit) {
  std::vector<std::thread> threads;
  std::vector<bool> ended;
  {
    absl::MutexLock lock(&state_->mutex);
    state_->stopping = true;
    state_->mutex.AwaitWithTimeout(absl::Condition(state_.get(), &State::AllEnded), limit);
    threads.swap(state_->threads);
    ended = state_->ended;
    std::fill(state_->ended.begin(), state_->ended.end(), true);
    if (threads.empty()) return 0;
  }
  int abandoned = 0;
  for (size_t i = 0; i < threads.size(); ++i) {
    if (ended[i]) {
      threads[i].join();
    } else {
      threads[i].detach();
      ++abandoned;
    }
  }
  return abandoned;
}

size_t ThreadPool::queued() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->queue.size();
}

bool ThreadPool::IsCurrent() const { return current_pool == state_.get(); }

}  // namespace viaduct
