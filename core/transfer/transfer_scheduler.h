// Which file goes next, and over which road. Pure decisions: the engine does everything else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/gateway/circuit_breaker.h"
#include "core/gateway/link.h"
#include "core/gateway/link_quality.h"
#include "core/gateway/retry_policy.h"
#include "core/gateway/selector.h"
#include "core/gateway/standard_rules.h"

namespace viaduct {

// A time of the day, by the node's own zone. It may pass midnight.
struct TransferWindow {
  int from_minute = 0;  // Of the day.
  int to_minute = 0;    // The first one after it.
};

// When files go at all. Those of high priority always do, unless `urgent` says otherwise.
struct TransferSchedule {
  std::vector<TransferWindow> windows;  // None: at any time.
  LinkQuality min_quality = LinkQuality::kUnknown;
  bool unmetered_only = false;
  bool urgent = false;  // The schedule holds for high priority, too.
  absl::TimeZone zone = absl::UTCTimeZone();
};

struct TransferSchedulerOptions {
  uint32_t files = 32;                      // Under way at once.
  uint64_t bytes = uint64_t{64} << 20;      // Of small files, under way at once.
  uint64_t large_from = uint64_t{8} << 20;  // Files from this size on are large:
  uint32_t large = 2;                       // so many of them at once.
  uint32_t urgent = 4;                      // Of high priority, beyond all that.
  uint64_t bytes_per_second = 0;            // Of all together; 0: no limit.
  uint32_t max_attempts = 20;               // Failures for which no outage is to blame.
  uint32_t failures_to_open = 3;            // In a row, of one road.
  RetryPolicy::Options retry;
  bool falls_back = true;  // false: a file waits for the road that its rule names.
  FallbackOrder fallback = StandardFallback();
  bool measured = true;  // false: every road passes for a good one.
  TransferSchedule schedule;
};

// Lives on one thread. Times are monotonic nanoseconds, but for the wall clock of the windows.
class TransferScheduler {
 public:
  static constexpr int64_t kNever = INT64_MAX;
  static constexpr size_t kMaxLooked = 16'384;  // Files that one Plan passes by,
  static constexpr size_t kMaxAsked = 256;      // and for which it looks for a road.

  struct File {
    int64_t sequence = 0;
    Priority priority = Priority::kNormal;
    uint64_t size = 0;
    uint32_t strikes = 0;
    int64_t due_ns = 0;  // Not before.
  };
  struct RoadView {
    std::string name;
    std::string plugin;
    bool ready = false;
    size_t credit = 0;
    LinkQuality quality = LinkQuality::kUnknown;
    double score = 0;
    bool metered = false;
  };
  struct Start {
    int64_t sequence = 0;
    std::string road;
    uint64_t bytes_per_second = 0;  // 0: no limit.
  };
  // How an attempt ended.
  struct Ended {
    Outcome outcome = Outcome::kRetry;
    absl::StatusCode code = absl::StatusCode::kUnavailable;
    absl::Duration retry_after = absl::ZeroDuration();
    bool progressed = false;  // More is durable than before it.
  };
  enum class Next : uint8_t {
    kDone,   // The road has it.
    kAgain,  // It waits in here again.
    kGiveUp,
  };
  struct Verdict {
    Next next = Next::kAgain;
    bool attempt = false;  // Counts as one that failed.
    bool strike = false;   // And no outage is to blame.
  };

  explicit TransferScheduler(TransferSchedulerOptions options);

  // It waits from now on. One that is there already stays as it is.
  void Add(const File& file);
  // Forgets it, whether it waits or is under way.
  void Remove(int64_t sequence);
  // What is to begin now; that is under way when the call returns.
  std::vector<Start> Plan(const std::vector<RoadView>& roads, int64_t now_ns, absl::Time wall);
  // Of those under way, what the schedule does not allow any more.
  std::vector<int64_t> Outside(const std::vector<RoadView>& roads, absl::Time wall) const;
  Verdict OnEnded(int64_t sequence, const Ended& ended, int64_t now_ns);
  // When Plan may say more than now, besides for news of roads and files; kNever: not by itself.
  int64_t NextDueNanos(int64_t now_ns) const;

  bool IsOpen(absl::Time wall) const;  // The windows of the schedule.
  // Which road such a file would take now, and why; changes nothing.
  Explanation Explain(uint64_t bytes, Priority priority, const std::vector<RoadView>& roads,
                      int64_t now_ns) const;
  BreakerState breaker(const std::string& road, int64_t now_ns) const;
  size_t waiting() const { return waiting_.size(); }
  size_t active() const { return active_.size(); }

 private:
  using Key = std::pair<int, int64_t>;  // Priority, then order of acceptance.
  struct Waiting {
    uint64_t size = 0;
    uint32_t strikes = 0;
    uint32_t failures = 0;            // In a row.
    int64_t due_ns = 0;               // Not before, over any road.
    int64_t retry_ns = 0;             // Not before, over one that failed.
    std::vector<std::string> failed;  // Roads, since all were last tried.
  };
  struct Active {
    Key key;
    Waiting file;
    std::string road;
    int64_t begun_ns = 0;
    uint64_t rate = 0;
  };
  struct Load {
    size_t files = 0;
    size_t large = 0;
    uint64_t small_bytes = 0;
    uint64_t rate = 0;
  };

  Load LoadNow() const;
  bool HasRoom(const Key& key, const Waiting& file, const Load& load) const;
  bool MayUse(const RoadView& road, Priority priority) const;
  std::optional<uint64_t> RateFor(const Key& key, const Load& load, size_t candidates) const;
  std::vector<LinkView> ViewsFor(const std::vector<RoadView>& roads, Priority priority,
                                 const std::vector<size_t>& used, int64_t now_ns) const;
  // Whether every road that is ready has failed it, or its own where it falls back to no other, and
  // it is not time for them again.
  bool WaitsForRetry(const Waiting& file, const std::vector<RoadView>& roads, int64_t now_ns) const;
  int PickRoad(const Key& key, Waiting* file, const std::vector<RoadView>& roads,
               const std::vector<size_t>& used, int64_t now_ns);
  static bool AnyRoom(const std::vector<RoadView>& roads, const std::vector<size_t>& used);
  CircuitBreaker* BreakerOf(const std::string& road);
  int64_t DelayNanos(uint32_t failures);
  Verdict Postpone(const Active& active, const Ended& ended, int64_t now_ns);

  const TransferSchedulerOptions options_;
  absl::BitGen random_;
  const std::unique_ptr<Selector> selector_;
  absl::btree_map<Key, Waiting> waiting_;
  absl::flat_hash_map<int64_t, Active> active_;
  std::map<std::string, CircuitBreaker> breakers_;
};

}  // namespace viaduct
