// A road for files: one SSH session that is kept, and all transfers in it, on a thread of its own.
//
// It has several channels, each with a program at the server's end that does one thing after the
// other: while one of them waits for its disk, the others go on.
//
// A client connects once. When the session ends it tells why and is done: whether and when there is
// another is the host's affair.
#pragma once

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
#include "plugins/sftp/channel.h"
#include "plugins/sftp/folders.h"
#include "plugins/sftp/requests.h"
#include "plugins/sftp/transport.h"
#include "plugins/sftp/upload.h"

namespace viaduct::sftp {

struct ClientOptions {
  TransportOptions transport;
  std::string remote_path = ".";  // Where the server puts us, without one.
  std::string road;               // The same in each life of a road, another for each of them.
  size_t max_transfers = 32;
  size_t channels = 4;             // As far as the server allows.
  size_t window_bytes = 4u << 20;  // Sent and not acknowledged, of all transfers together.
  absl::Duration keepalive = absl::Seconds(30);       // Of silence, until the server is asked.
  absl::Duration answer_timeout = absl::Seconds(60);  // Without a sign of life, while it owes one.
};

struct ClientStats {
  uint64_t files = 0;       // Arrived.
  uint64_t sent_bytes = 0;  // Of files, what was sent twice included.
};

// Thread-safe.
class Client {
 public:
  struct Events {  // On the client's thread; they must not block.
    std::function<void(const Features& features)> on_ready;
    // Once, unless Stop came first.
    std::function<void(const absl::Status& why)> on_ended;
    std::function<void(uint64_t token, uint64_t moved, uint64_t durable)> on_progress;
    std::function<void(const FileEnd& end)> on_end;
  };

  Client(ClientOptions options, Events events);
  ~Client();  // Stops.

  absl::Status Start();
  // Ends what is under way as cancelled. Bounded, but for the resolver and the agent.
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

 private:
  void Run();
  void Turn();
  struct Stream {
    Stream(ssh_session_struct* session, Window* window) : channel(session), requests(window) {}
    Channel channel;
    Requests requests;
    bool greeted = false;
    bool ready = false;
    bool wrote = false;       // Since the last look whether it lives.
    uint64_t arrives_at = 0;  // Octets of the connection that arrive up to what it wrote.
    uint64_t answered = 0;    // At that look.
    int64_t alive_ns = 0;
  };
  void Advance(int64_t now_ns);
  void OpenStreams();
  void AdvanceStream(Stream* stream);
  void Hear();
  void SettleStreams();
  void OnReady();
  Requests* first() { return &streams_.front()->requests; }
  std::string PartOf(const FileJob& job) const;
  size_t StreamOf(const std::string& part) const;
  void RemovePart(const FileLeftover& leftover);
  std::shared_ptr<Upload> MakeUpload(FileJob job, const std::string& part);
  size_t unanswered() const;
  void TakeMail(int64_t now_ns);
  void StartWaiting(int64_t now_ns);
  void CancelNow(uint64_t token);
  void EndWaiting(const FileJob& job, FileOutcome outcome, const absl::Status& why);
  void TellWaiting(uint64_t token, uint64_t moved);
  void CheckDeadlines(int64_t now_ns);
  void AskProbe(int64_t now_ns);
  void NoteProbeSent(const Stream& stream);
  void FinishProbe(const absl::Status& status, absl::Duration round_trip = absl::ZeroDuration());
  void Pump(int64_t now_ns);
  void Flush();
  void Sweep();
  void CheckLife(int64_t now_ns);
  void CheckStreams(uint64_t acknowledged, int64_t now_ns);
  void Poll(int64_t now_ns);
  int64_t WakeAt(int64_t now_ns) const;
  void Fail(const absl::Status& why);
  void Finish();
  void OnEnd(const FileEnd& end);
  bool PartIsTaken(const std::string& part) const;
  void Wake() const;

  const ClientOptions options_;
  const Events events_;
  std::atomic<bool> stopping_{false};
  WakingThread thread_;
  FileDoor door_{[this] { Wake(); }};

  mutable absl::Mutex mutex_;
  ClientStats stats_ ABSL_GUARDED_BY(mutex_);

  // Of the thread alone.
  absl::Status failed_;
  std::unique_ptr<Transport> transport_;  // Until the thread ends.
  Window window_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<std::unique_ptr<Stream>> refused_;
  std::unique_ptr<Folders> folders_;  // On the first stream.
  bool settled_ = false;              // Each stream is ready or gone.
  bool root_found_ = false;
  Upload::Events upload_events_;
  bool ready_ = false;
  int64_t ready_by_ns_ = 0;
  std::vector<std::shared_ptr<Upload>> uploads_;
  std::deque<FileJob> waiting_;  // For another of the same part to end.
  size_t next_ = 0;              // Whose turn it is.
  size_t next_stream_ = 0;       // The same of the channels.
  uint64_t probe_number_ = 0;    // Of the one that was sent; a late answer is no answer.
  bool probe_sent_ = false;
  ProbeCost probe_cost_;  // Of that one.
  Stream* probe_stream_ = nullptr;
  uint64_t probe_end_ = 0;     // Of what goes over probe_stream_, the last octet of it.
  int64_t probe_left_ns_ = 0;  // When that went; 0: it waits still.
  uint64_t signs_ = 0;         // Octets that came, and those whose arrival was told.
  int64_t alive_ns_ = 0;
  int64_t check_ns_ = 0;
};

}  // namespace viaduct::sftp
