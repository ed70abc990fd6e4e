// Moves the files of the queue over the roads: one thread that sleeps until a file is accepted, a
// road has room, an attempt ends or a time is due. The scheduler decides, the engine carries out.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/waker.h"
#include "core/observe/log.h"
#include "core/transfer/file_removal.h"
#include "core/transfer/local_file.h"
#include "core/transfer/transfer_announcer.h"
#include "core/transfer/transfer_leftovers.h"
#include "core/transfer/transfer_queue.h"
#include "core/transfer/transfer_road.h"
#include "core/transfer/transfer_scheduler.h"

namespace viaduct {

struct TransferEngineOptions {
  TransferSchedulerOptions scheduler;
  bool server_confirms = false;  // Done is what the server has said it has, not what the road says.
  absl::Duration confirm_timeout = absl::Minutes(10);  // Then the file is sent again.
  absl::Duration stall_timeout = absl::Minutes(2);     // Without progress: the attempt is ended.
  bool keep_confirmed = false;  // Files of ours stay after they are confirmed: see TransferCare.
};

// Since the engine was made.
struct TransferTotals {
  uint64_t added = 0;
  uint64_t done = 0;
  uint64_t failed = 0;  // Given up.
  uint64_t cancelled = 0;
  uint64_t attempts = 0;  // That failed.
  uint64_t bytes = 0;     // Passed, repeated ones too.
};

// Thread-safe.
class TransferEngine {
 public:
  struct Deps {
    TransferQueue* queue = nullptr;
    const OwnedFolder* owned = nullptr;
    const Clock* clock = nullptr;
    Log* log = nullptr;
    // What is known of the network of that road. May be null: nothing.
    std::function<RoadQuality(const std::string& road)> quality;
    // Tells the server of a file, durably, and then says so. May be null: nobody is told.
    TransferAnnouncer::TellFn announce;
    // A file moves on: not more often than kTellEvery each. May be null.
    std::function<void(const Transfer&)> moving;
    // Which the local file is, if it is still the one that was taken, and lies where it may. May be
    // null.
    std::function<absl::StatusOr<FileStamp>(const Transfer&)> check;
    // Whether the server can be heard now: without, nothing is sent again for its silence. May be
    // null: it can.
    std::function<bool()> heard;
  };
  static constexpr absl::Duration kTellEvery = absl::Milliseconds(250);
  static constexpr absl::Duration kTick = absl::Milliseconds(500);  // While something is under way.
  static constexpr absl::Duration kRepeat = absl::Seconds(1);  // Of what the disk or sink refused.
  static constexpr absl::Duration kExplainWait = absl::Seconds(2);
  static constexpr absl::Duration kAskEvery = absl::Seconds(5);  // A road to end what it still has.

  // All of `deps` outlive the engine.
  TransferEngine(TransferEngineOptions options, Deps deps);
  ~TransferEngine();  // Stop().

  // Reads what waits and begins.
  absl::Status Start();
  // Cancels what is under way, keeping what is durable, and ends the thread. When it returns no
  // road is used any more.
  void Stop();
  // Begins nothing more; what is under way goes on.
  void Pause() { paused_.store(true); }

  // The roads that there are, in the order of the configuration.
  void SetRoads(std::vector<RoadEntry> roads);
  // Credit or readiness may have grown.
  void Wake() { waker_.Wake(); }

  // A file is in the queue, or back in it.
  void OnAdded(const Transfer& transfer);
  // It was cancelled in the queue.
  void OnCancelled(const Transfer& transfer);
  // The server has said what it has: "stored", "failed" or "waiting".
  void OnServerStatus(const std::string& id, const std::string& status, const std::string& sha256,
                      const std::string& detail);

  // Which road such a file would take now, and why. Waits for the thread, kExplainWait at most:
  // UNAVAILABLE.
  absl::StatusOr<Explanation> Explain(uint64_t bytes, Priority priority);
  // With how far it is, where it is under way.
  Transfer WithProgress(Transfer transfer) const;
  // Some of those that are on a road.
  std::vector<Transfer> OnRoads(size_t most) const;
  size_t active() const;
  bool AnyRoadReady() const;
  bool IsActive(int64_t sequence) const;
  TransferTotals totals() const;

 private:
  struct Active {
    Transfer transfer;
    std::shared_ptr<TransferRoad> road;
    std::string road_name;
    uint64_t ticket = 0;
    uint64_t attempt = 0;   // What a road says of an earlier one is not heard.
    uint64_t begun_at = 0;  // Offset.
    uint64_t moved = 0;
    uint64_t durable = 0;
    int64_t begun_ns = 0;
    int64_t progress_ns = 0;  // The last time that it moved on.
    int64_t told_ns = 0;
    int64_t asked_ns = 0;  // To end it, the last time.
    bool stalled = false;
    bool cancelled = false;  // By somebody: its row says so.
  };
  struct Event {
    enum class Kind : uint8_t { kAdded, kCancelled, kAgain, kEnded, kTold, kConfirmed };
    Kind kind = Kind::kAdded;
    int64_t sequence = 0;
    Transfer transfer;
    uint64_t attempt = 0;
    FileResult result;
    absl::Status told;
  };

  void Loop();
  int64_t Step();  // Returns when to look again, monotonic.
  void Take(Event event);
  void TakeCancelled(int64_t sequence);
  void OnConfirmed(const Transfer& transfer);
  void OnAttemptEnded(int64_t sequence, uint64_t attempt, FileResult result);
  static uint64_t DurableAfter(const Active& active, const FileResult& result);
  void OnReleased(const Active& active, const FileResult& result);
  void OnSent(const Active& active);
  void OnFailed(const Active& active, const FileResult& result, uint32_t strikes);
  void GiveUp(const Active& active, absl::Status why, bool attempt);
  void BeginPlanned();
  void Begin(const TransferScheduler::Start& start, const RoadEntry& road);
  void Hand(int64_t sequence, uint64_t attempt, FileJob job, TransferRoad* road);
  FileJob JobFor(const TransferScheduler::Start& start, Transfer* transfer) const;
  void OnProgress(int64_t sequence, uint64_t attempt, uint64_t moved, uint64_t durable);
  void LookAtActive();
  void LookAtUnconfirmed();
  void SendAgain(const Transfer& transfer);  // It was sent, but the server does not say so.
  void OnAgain(const Transfer& transfer);
  void OnAnswered(const TransferAnnouncer::Word& word, absl::Status told);
  // Nobody goes on with what roads have of it, but for that one. Of one that is over.
  void Discard(const Transfer& transfer, const std::string& but);
  // By what the queue says of it now: waits, or lets its file go. Of one that no road has.
  void Settle(int64_t sequence);
  // Repeats the change until the disk takes it.
  void Save(const std::string& id, TransferQueue::Edit edit,
            std::function<void(const Transfer&)> then);
  void Post(Event event);
  // On the engine's thread, not before `at_ns`.
  void Later(int64_t at_ns, std::function<void()> work);
  std::vector<TransferScheduler::RoadView> Views(const std::vector<RoadEntry>& roads) const;

  const TransferEngineOptions options_;
  const Deps deps_;
  const FileRemoval removal_;
  Waker waker_;
  std::atomic<bool> paused_{false};
  std::atomic<bool> stopping_{false};

  // Of the thread.
  TransferScheduler scheduler_;
  TransferAnnouncer announcer_;
  std::map<int64_t, std::vector<std::function<void()>>> later_;  // By when, monotonic.
  absl::flat_hash_map<int64_t, int64_t> unconfirmed_;            // When their patience ends.
  TransferLeftovers leftovers_;
  bool heard_ = true;      // The server, at the last look.
  uint64_t attempts_ = 0;  // Begun.
  absl::BitGen random_;
  // Of files that failed here: newer than what the queue has written.
  absl::flat_hash_map<int64_t, std::map<std::string, uint64_t>> offsets_;

  mutable absl::Mutex mutex_;
  std::vector<Event> events_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::pair<int64_t, std::function<void()>>> delayed_ ABSL_GUARDED_BY(mutex_);
  std::vector<RoadEntry> roads_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<int64_t, Active> active_ ABSL_GUARDED_BY(mutex_);
  TransferTotals totals_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace viaduct
