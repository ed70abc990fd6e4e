// Alerts as POST requests to a receiver elsewhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/executor.h"
#include "core/base/executor_timer_queue.h"
#include "core/config/alert_options.h"
#include "core/gateway/retry_policy.h"
#include "core/observe/alerts.h"
#include "core/observe/log.h"
#include "core/observe/metrics.h"

namespace httplib {
class Client;
}

namespace viaduct {

// One request at a time, in order, from a thread of its own that begins with the first alert. What
// the receiver does not take is tried again until it does, with a back-off; what it refuses for
// good (400, 410, 413, 422 and the like) is given up. In memory only. Thread-safe.
class Webhook {
 public:
  static constexpr size_t kMaxQueued = 256;  // One more, and the oldest is dropped.
  static constexpr size_t kMaxAnswerBytes = 64u << 10;
  static constexpr absl::Duration kMaxConnectTime = absl::Seconds(5);  // It cannot be cut short.
  static constexpr absl::Duration kMaxRetryAfter = absl::Hours(1);     // That a receiver may ask.
  static constexpr int kWholeTimeouts = 3;  // A request takes no longer than so many.

  struct Parts {  // All outlive it.
    std::string node_id;
    TimerQueue* timers = nullptr;
    Log* log = nullptr;
    Metrics* metrics = nullptr;
    RetryPolicy::Options retry{absl::Seconds(1), absl::Minutes(1), 2, 0.2};
  };

  Webhook(WebhookOptions options, Parts parts);
  // As Stop, without a limit. The timers must have been stopped.
  ~Webhook();

  // Queues it. Returns at once.
  void Send(const Alert& alert);
  // Cuts what is under way and forgets what waits. Returns the number of threads that did not come
  // back within `limit`.
  int Stop(absl::Duration limit);

 private:
  struct Message {
    uint64_t number = 0;
    std::string id;  // Of the event, the same at each attempt.
    std::string body;
  };
  struct Answer {
    enum class Verdict : uint8_t { kDelivered, kRetry, kRefused };
    Verdict verdict = Verdict::kRetry;
    std::string reason;
    absl::Duration retry_after = absl::ZeroDuration();
  };

  void Submit();
  void SendQueued();
  bool Front(Message* message);
  // False: wait, a timer is armed.
  bool Settle(const Message& message, const Answer& answer);
  Answer Post(const Message& message);
  Answer Exchange(const Message& message, httplib::Client* client);
  void Cut();

  const WebhookOptions options_;
  const Parts parts_;
  std::string origin_;  // scheme://host[:port]
  std::string target_;  // Path and query.
  MetricNumber sent_ = 0;
  MetricNumber failed_ = 0;
  MetricNumber dropped_ = 0;
  absl::BitGen random_;  // Of the thread alone.

  absl::Mutex mutex_;
  std::deque<Message> queue_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  bool active_ ABSL_GUARDED_BY(mutex_) = false;  // The thread or a timer will go on.
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;    // A request is under way.
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  uint32_t failures_ ABSL_GUARDED_BY(mutex_) = 0;  // In a row.
  std::shared_ptr<httplib::Client> client_ ABSL_GUARDED_BY(mutex_);
  ThreadPool pool_;  // Last: its thread uses the rest.
};

}  // namespace viaduct
