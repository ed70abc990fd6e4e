// Pictures on their way to inference instances: who waits, who is next, who was dropped and why.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/executor.h"
#include "core/gateway/link_stats.h"
#include "core/plugin/frames.h"

namespace viaduct {

// Why a picture has no result.
enum class NoResult : uint8_t {
  kNone,       // It has one.
  kReplaced,   // A newer one came while it waited.
  kExpired,    // It waited until its deadline.
  kDown,       // One of these two, and none of its instances ran.
  kLate,       // The instance that had it was not ready at its deadline.
  kRejected,   // The instance cannot read it.
  kFailed,     // The instance gave it back, or stopped.
  kCancelled,  // Nobody wants it any more.
};
constexpr size_t kNoResults = 8;
std::string_view NoResultName(NoResult why);  // "replaced", ...

struct InferEnd {
  NoResult why = NoResult::kNone;
  absl::Status status;      // OK with a result; the text is for people.
  std::string instance;     // That had it; "" where none did.
  std::string result_json;  // As the plugin gave it.
  std::vector<InferCrop> crops;
  absl::Duration waited = absl::ZeroDuration();
  absl::Duration inferred = absl::ZeroDuration();
};

struct InferJob {
  Frame frame;  // Its deadline is set by the queue.
  std::string options_json;
  int64_t deadline_ns = 0;  // Monotonic; required.
  // Exactly once, on the thread of the queue or in Stop, without a lock.
  std::function<void(InferEnd)> done;
};

// A line has the jobs of one sender. Lines with the same instances get them by turns: whose turn is
// longest ago is next.
struct InferLine {
  std::vector<std::string> instances;  // The first that takes a picture gets it.
  size_t room = 1;                     // Jobs that wait.
  bool newest_wins = true;             // In a full line; else the newest is refused.
  size_t max_given = 1;                // Jobs that instances have at once.
};

struct InferLineStats {
  struct Pair {
    std::string instance;
    uint64_t given = 0;
    uint64_t results = 0;
    LatencySnapshot inference;  // From when it was given to its result.
  };
  std::string name;
  uint64_t offered = 0;
  std::array<uint64_t, kNoResults> without{};  // By NoResult.
  uint64_t results = 0;
  LatencySnapshot latency;  // From when it was offered to its result.
  size_t waiting = 0;
  size_t given = 0;
  std::vector<Pair> pairs;  // In the order of the line's instances.
};

// Thread-safe. One thread of its own calls the instances and the ends of jobs.
class InferQueue {
 public:
  // Null: there is no such instance, or it does not infer.
  using FindFn = std::function<std::shared_ptr<Inferer>(const std::string& instance)>;
  // An instance does not tell when it would take more: while pictures wait it is asked again.
  static constexpr absl::Duration kAskAgain = absl::Milliseconds(20);
  static constexpr size_t kMaxLines = 512;

  // `clock` outlives it.
  InferQueue(const Clock* clock, FindFn find);
  // As Stop.
  ~InferQueue();
  InferQueue(const InferQueue&) = delete;
  InferQueue& operator=(const InferQueue&) = delete;

  // Begins the thread. Tests that want to see each step call Turn instead.
  void Start();
  // Ends every job as cancelled and joins the thread. Not from a job's end.
  void Stop();

  // Adds the line, or changes it and keeps what it has and has counted. False: too many.
  bool SetLine(const std::string& name, InferLine line);
  // Its jobs end as cancelled.
  void RemoveLine(const std::string& name);

  // The number of the job, for Cancel. 0: there is no such line, it is full, or the queue has
  // stopped; then `job` is as it was.
  uint64_t Add(const std::string& line, InferJob* job);
  void Cancel(uint64_t job);

  // Runs `task` on the thread of the queue, not before that time. In Stop what is due still runs,
  // the rest is forgotten. False: it has stopped.
  bool RunAfter(absl::Duration delay, Task task);

  std::vector<InferLineStats> Stats() const;  // By name.
  // Until every job has ended, and its end has been told. False: not in that time.
  bool AwaitIdle(absl::Duration limit) const;

  // What the thread does in one round; returns when to look again (monotonic).
  int64_t Turn();

 private:
  struct Pair;
  struct Line;
  struct Waiting;
  struct Handing;
  struct Mailbox;  // Shared with what instances still have: they may answer when the queue is gone.
  struct Offer {   // What an instance would take in this round.
    std::shared_ptr<Inferer> inferer;
    bool ready = false;
    size_t credit = 0;
  };
  using LinePtr = std::shared_ptr<Line>;
  // A job that an instance has.
  struct Given {
    LinePtr line;
    std::shared_ptr<Pair> pair;
    std::shared_ptr<Inferer> inferer;
    uint64_t ticket = 0;  // 0 until the instance has said it.
    int64_t offered_ns = 0;
    int64_t given_ns = 0;
    std::function<void(InferEnd)> done;
  };
  using Offers = std::map<std::string, Offer>;

  void Loop();
  void Wake();
  void TakeFinished();
  void EndExpired();
  void RunDue();
  void Give();
  void RunEnds();
  int64_t NextLook() const;
  Offers AskInstances();
  std::vector<Handing> Choose(Offers* offers);
  LinePtr NextLine(const Offers& offers, std::string* instance)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HandOver(Handing handing);
  void EndGiven(uint64_t job, InferResult result);
  void EndWaiting(Line* line, size_t place, NoResult why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(Line* line, std::function<void(InferEnd)> done, InferEnd end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The tickets that are to be cancelled at their instances, after the lock is given back.
  using Cancels = std::vector<std::pair<std::shared_ptr<Inferer>, uint64_t>>;
  void Empty(Line* line, Cancels* cancels) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock* const clock_;
  const FindFn find_;
  const std::shared_ptr<Mailbox> mailbox_;
  mutable absl::Mutex mutex_;
  absl::btree_map<std::string, LinePtr> lines_ ABSL_GUARDED_BY(mutex_);
  absl::btree_map<uint64_t, Given> given_ ABSL_GUARDED_BY(mutex_);
  std::multimap<int64_t, Task> tasks_ ABSL_GUARDED_BY(mutex_);
  std::vector<Task> ends_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;  // Ends are being told.
  uint64_t next_job_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t turns_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct
