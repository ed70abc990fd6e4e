// What all instances of a node share.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/base/clock.h"
#include "core/base/executor_timer_queue.h"
#include "core/message/exchange.h"
#include "core/observe/log.h"
#include "core/observe/metrics.h"

namespace viaduct {

class HealthTree;
class Incarnation;

// Thread-safe. Outlives every incarnation but those that were given up; these do not reach it.
class InstanceServices {
 public:
  InstanceServices(const Clock* clock, Log* log, Metrics* metrics, HealthTree* health,
                   CallHandler* calls)
      : clock(clock),
        log(log),
        metrics(metrics),
        health(health),
        calls(calls),
        timers(clock, {kMaxTimers}),
        plugin_timers(clock) {}

  // More than calls, jobs and retries of all instances can be within their limits.
  static constexpr size_t kMaxTimers = 1u << 21;

  // Keeps what has ended for a while: a thread that a plugin forgot may still call the host.
  void Retire(std::shared_ptr<const void> incarnation) {
    std::shared_ptr<const void> oldest;  // Destroyed after the lock is given back.
    absl::MutexLock lock(&mutex_);
    retired_.push_back(std::move(incarnation));
    if (retired_.size() <= kMaxRetired) return;
    oldest = std::move(retired_.front());
    retired_.pop_front();
  }

  // What did not come back from a call, to be looked at for as long as the node runs.
  struct GivenUp {
    std::string instance;
    std::string plugin;
    std::shared_ptr<Incarnation> incarnation;
  };
  void AddGivenUp(GivenUp life) {
    absl::MutexLock lock(&mutex_);
    given_up_.push_back(std::move(life));
  }
  std::vector<GivenUp> given_up() const {
    absl::MutexLock lock(&mutex_);
    return given_up_;
  }

  static std::string MetricOwner(const std::string& instance, const std::string& plugin) {
    return instance + "/" + plugin;
  }
  // Gives back what a plugin has registered for an instance that does not use it any more. Not
  // where a life was given up: it may be counting at this moment.
  void ForgetMetrics(const std::string& instance, const std::string& plugin) {
    if (metrics == nullptr) return;
    for (const GivenUp& life : given_up()) {
      if (life.instance == instance) return;
    }
    metrics->RemoveOwner(MetricOwner(instance, plugin));
  }

  // Unique in the process, never 0.
  uint64_t NextTicket() { return next_ticket_.fetch_add(1, std::memory_order_relaxed); }

  const Clock* const clock;
  Log* const log;
  Metrics* const metrics;    // May be null.
  HealthTree* const health;  // May be null.
  CallHandler* const calls;  // May be null.
  TimerQueue timers;
  TimerQueue plugin_timers;  // What plugins arm: when they fill it, only they go without.

 private:
  static constexpr size_t kMaxRetired = 16;
  mutable absl::Mutex mutex_;
  std::deque<std::shared_ptr<const void>> retired_ ABSL_GUARDED_BY(mutex_);
  std::vector<GivenUp> given_up_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> next_ticket_{1};
};

}  // namespace viaduct
