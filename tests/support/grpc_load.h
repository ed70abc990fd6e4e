// The gRPC load: what a camera program does, over the node's Unix socket. One stream with a window
// of unacknowledged messages, or a few threads of unary calls.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "tests/support/load.h"
#include "viaduct/gateway/v1/gateway.grpc.pb.h"

namespace viaduct::support {

struct GrpcOptions {
  std::string target;  // "unix:/run/node/control.sock"
  std::string watch;   // Node whose commits end the latency; empty: the answer ends it.
  bool stream = true;  // false: unary SendMetadata.
  int window = 4096;   // Unacknowledged messages of the stream.
  int frame = 128;     // Messages of one stream frame at most.
  int threads = 4;     // Unary callers.
  double watch_drain_seconds = 5;
};

// Listens to what becomes durable on a node and remembers when. Thread-safe.
class CommitWatcher {
 public:
  // Of the messages of one device.
  CommitWatcher(const std::string& target, std::string device);
  ~CommitWatcher();
  // Returns once the node has said `synced`.
  absl::Status Start();
  // Waits until `count` messages of ours (by the head of their ids) were seen, or the deadline.
  void AwaitCount(const std::string& id_head, uint64_t count, double seconds);
  void Stop();
  struct Commit {
    std::string message_id;
    int64_t nanos;
  };
  std::vector<Commit> Take();
  uint64_t missed() const;

 private:
  void Read();

  const std::string device_;
  std::unique_ptr<gateway::v1::Gateway::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<gateway::v1::SubscribeResponse>> reader_;
  std::thread thread_;
  mutable absl::Mutex mutex_;
  std::vector<Commit> commits_ ABSL_GUARDED_BY(mutex_);
  uint64_t missed_ ABSL_GUARDED_BY(mutex_) = 0;
  bool synced_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::string end_text_ ABSL_GUARDED_BY(mutex_);
};

// Thread-compatible; Run() once.
class GrpcLoad {
 public:
  GrpcLoad(GrpcOptions grpc, LoadOptions load, MessageSource* source);
  absl::StatusOr<LoadResults> Run();

 private:
  using Stream = grpc::ClientReaderWriter<gateway::v1::SendMetadataStreamRequest,
                                          gateway::v1::SendMetadataStreamResponse>;
  struct Pending {
    Message message;
    int64_t due_ns = 0;
    int64_t sent_ns = 0;
    bool settled = false;
  };
  using PendingPtr = std::unique_ptr<Pending>;

  bool MayMake(int64_t now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Finished(int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The next message that is due, an old one first; null: none now.
  PendingPtr Next(int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Settle(PendingPtr pending, const gateway::v1::Result& result, int64_t now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Again(PendingPtr pending) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FillEnvelope(const Pending& pending, gateway::v1::Envelope* envelope) const;

  void RunStreams();
  // False: it broke.
  bool RunOneStream(gateway::v1::Gateway::Stub* stub);
  bool FillFrame(gateway::v1::SendMetadataStreamRequest* frame);
  bool FrameReady() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReadResults(Stream* stream);

  void RunUnary();
  void UnaryThread(gateway::v1::Gateway::Stub* stub);
  void CallOnce(gateway::v1::Gateway::Stub* stub, PendingPtr pending);

  std::shared_ptr<grpc::Channel> Channel() const;
  void WaitReconnect() const;
  void AddCommitLatencies(CommitWatcher& watcher);

  const GrpcOptions grpc_;
  const LoadOptions load_;
  MessageSource* const source_;
  absl::Mutex mutex_;
  Pace pace_ ABSL_GUARDED_BY(mutex_);
  LedgerLog log_ ABSL_GUARDED_BY(mutex_);
  LoadResults results_ ABSL_GUARDED_BY(mutex_);
  std::deque<PendingPtr> again_ ABSL_GUARDED_BY(mutex_);
  // Of the open stream, by the index of the envelope on it.
  std::vector<PendingPtr> on_stream_ ABSL_GUARDED_BY(mutex_);
  std::vector<int64_t> due_by_number_ ABSL_GUARDED_BY(mutex_);  // For commit latencies.
  int64_t outstanding_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stream_ended_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t make_until_ns_ = 0;
  int64_t made_until_ns_ ABSL_GUARDED_BY(mutex_) = 0;  // When the last chance to make one was.
  int64_t last_answer_ns_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace viaduct::support
