// A road for files: the rsync program beside us, once for each batch of them, on a thread of ours.
//
// What is begun while a run is under way goes with the next. A client greets the server once. When
// that or a later run does not reach it, it tells why and is done: whether and when there is
// another is the host's affair.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "plugins/common/delivery.h"
#include "plugins/common/file_door.h"
#include "plugins/common/file_job.h"
#include "plugins/common/monotonic.h"
#include "plugins/common/waking_thread.h"
#include "plugins/rsync/banner.h"
#include "plugins/rsync/batch.h"
#include "plugins/rsync/child.h"
#include "plugins/rsync/outcome.h"
#include "plugins/rsync/server.h"
#include "plugins/rsync/staging.h"

namespace viaduct::rsync {

struct ClientOptions {
  ServerOptions server;
  size_t max_transfers = 64;  // Begun and not ended; the most of one run as well.
};

struct ClientStats {
  uint64_t files = 0;       // Arrived.
  uint64_t runs = 0;        // Of rsync, with files.
  uint64_t sent_bytes = 0;  // On the road, of runs that came to their end.
};

// Thread-safe.
class Client {
 public:
  // Of a larger file a broken attempt sends again only what was in flight. A smaller one may be
  // sent again as a whole: when the server's end of it is killed, or slower than the next attempt.
  static constexpr uint64_t kWindowBytes = 8u << 20;
  // For so long the first file waits for those that come with it: each run has a connection.
  static constexpr int64_t kGatherNs = 5'000'000;
  // Of the ssh whose session the runs share; then each run has its own again.
  static constexpr int kMaxSessions = 16;

  struct Events {  // On the client's thread; they must not block.
    std::function<void(bool fsync)> on_ready;
    // Once, unless Stop came first.
    std::function<void(const absl::Status& why)> on_ended;
    std::function<void(uint64_t token, uint64_t moved, uint64_t durable)> on_progress;
    std::function<void(const FileEnd& end)> on_end;
  };

  Client(ClientOptions options, Events events);
  ~Client();  // Stops.

  absl::Status Start();
  // Ends what is under way as cancelled, rsync with it. Bounded, but for the resolver.
  void Stop();
  // Waits until nothing is under way; false: something still was.
  bool Drain(absl::Duration timeout) { return door_.Drain(timeout); }

  // As of FileDoor; a job ends with one on_end.
  size_t credit() const { return door_.credit(); }
  absl::Status Begin(FileJob job) { return door_.Begin(std::move(job)); }
  void Cancel(uint64_t token) { door_.Cancel(token); }
  absl::Status Discard(FileLeftover leftover) { return door_.Discard(std::move(leftover)); }
  bool Probe(absl::Duration limit, ProbeFn done) { return door_.Probe(limit, std::move(done)); }
  ClientStats stats() const;
  pid_t running() const { return running_.load(); }  // rsync; 0: none.

 private:
  // So many go before files that wait: a run for them alone costs a connection.
  static constexpr size_t kUrgentLeftovers = 64;
  static constexpr size_t kMaxLeftovers = 1024;
  // The server's end of a run that was ended here keeps what it has, a little later.
  static constexpr int64_t kLeftoversAfterNs = 2'000'000'000;
  static constexpr int kRunWaitMs = 50;  // While rsync runs links are looked at so often at least.
  static constexpr int kReapWaitMs = 2;  // It has said all, and is about to end.
  static constexpr size_t kMaxErrBytes = 16 << 10;
  // Of the path of a socket; ssh adds to it while it makes it.
  static constexpr size_t kMaxSocketPath = 90;

  void Run();
  void Turn();
  void TakeMail();
  void CancelNow(uint64_t token);
  void CheckDeadlines(int64_t now_ns);
  void Greet();
  void StartNext(int64_t now_ns);
  void StartSend(int64_t now_ns);
  void StartRemove(int64_t now_ns);
  bool RemovesLeftovers() const;
  void StartRemoveLeftovers(int64_t now_ns);
  bool IsWanted(const std::string& remote_name) const;
  void MakeSeeds();
  void TakeBatch();
  bool Takes(const FileJob& job) const;
  void AddToBatch(FileJob job);
  void StartRun(RunKind kind, std::string input, int64_t now_ns);
  void Listen(int64_t now_ns);
  void TellProgress();
  void TakeArrived();
  void EndRun(int wait_status);
  void OnGreeted(const RunEnd& end);
  void OnSeeded(const RunEnd& end);
  void OnSent(const RunEnd& end);
  void OnRemoved(const RunEnd& end);
  void Poll();
  int WaitMs() const;
  void AdvanceProbe(int64_t now_ns);
  void FinishProbe(const absl::Status& status, absl::Duration round_trip = absl::ZeroDuration());
  void Fail(const absl::Status& why);
  void Finish();
  void StartSession();
  void WatchSession(int64_t now_ns);
  void OnSessionEnded(int wait_status);
  void EndChild();
  void EndJob(const FileJob& job, FileOutcome outcome, const absl::Status& status,
              const std::string& digest = "");
  void Wake() const;

  const ClientOptions options_;
  const Events events_;
  std::atomic<bool> stopping_{false};
  std::atomic<pid_t> running_{0};
  WakingThread thread_;
  FileDoor door_{[this] { Wake(); }};

  mutable absl::Mutex mutex_;
  ClientStats stats_ ABSL_GUARDED_BY(mutex_);

  // Of the thread alone.
  absl::Status failed_;
  std::unique_ptr<Staging> staging_;
  RunPlan plan_;  // Of child_, and for the next.
  std::unique_ptr<Child> child_;
  std::unique_ptr<Child> session_;  // ssh; null: there is none, and runs connect by themselves.
  std::string session_err_;         // The last of it.
  bool first_session_ = false;      // The greeting waits for it.
  int sessions_ = 0;
  std::string err_;  // The last of it.
  Progress progress_;
  int64_t run_deadline_ns_ = 0;  // 0: none.
  std::deque<FileJob> waiting_;
  int64_t gather_until_ns_ = 0;
  std::vector<Item> batch_;
  std::vector<std::string> seeds_;      // Names of parts, on their way to the server.
  uint64_t arrived_bytes_ = 0;          // Of the run.
  std::vector<Item> spoilt_;            // Arrived with a content that is not theirs: to be removed.
  std::vector<std::string> leftovers_;  // Names of files whose parts nobody goes on with.
  int64_t leftovers_due_ns_ = 0;        // Not before.
  bool removes_leftovers_ = false;      // The run does, and no more than that.
  std::unique_ptr<Banner> banner_;
  int64_t probe_begun_ns_ = 0;
};

}  // namespace viaduct::rsync
