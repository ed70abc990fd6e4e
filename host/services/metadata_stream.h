// One SendMetadataStream call.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "host/services/gateway_service.h"

namespace viaduct {

// Reads frames while the window has room, hands them on, and writes results as they come, all that
// are there in one frame. Owned by gRPC until OnDone and by the batches under way. Thread-safe.
class MetadataStream final
    : public grpc::ServerBidiReactor<gateway::v1::SendMetadataStreamRequest,
                                     gateway::v1::SendMetadataStreamResponse>,
      public std::enable_shared_from_this<MetadataStream> {
 public:
  // Whether its sender is still let in; asked before each frame, while the call is there.
  // `reader` outlives the stream. `count` is of the streams there are: over kMaxStreams this one
  // only says so.
  static MetadataStream* Start(IngestFn ingest, rpc::StandingFn standing,
                               const EnvelopeReader* reader,
                               std::shared_ptr<std::atomic<int>> count);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  // What is remembered of a batch while it is under way.
  struct Batch {
    std::vector<uint64_t> indexes;
    std::vector<std::string> ids;
    size_t bytes = 0;
  };

  MetadataStream(IngestFn ingest, rpc::StandingFn standing, const EnvelopeReader* reader,
                 std::shared_ptr<std::atomic<int>> count)
      : ingest_(std::move(ingest)),
        standing_(std::move(standing)),
        reader_(reader),
        count_(std::move(count)) {}

  void ReadNoMore(grpc::Status why);
  void TakeFrame();
  void OnAccepted(const Batch& batch, const std::vector<AcceptResult>& results);
  struct Next {
    bool write = false;
    bool read = false;
    bool finish = false;
    grpc::Status status;
  };
  Next Decide() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Starts what can be started now: a write, a read, or the end. Holds no lock while it calls gRPC.
  void Step();

  const IngestFn ingest_;
  const rpc::StandingFn standing_;
  const EnvelopeReader* const reader_;
  const std::shared_ptr<std::atomic<int>> count_;
  gateway::v1::SendMetadataStreamRequest frame_;     // gRPC's while reading_.
  gateway::v1::SendMetadataStreamResponse current_;  // gRPC's while writing_.
  uint64_t next_index_ = 0;                          // Only touched by the one reader.

  absl::Mutex mutex_;
  gateway::v1::SendMetadataStreamResponse ready_ ABSL_GUARDED_BY(mutex_);
  size_t open_ ABSL_GUARDED_BY(mutex_) = 0;  // Messages whose result has not been written.
  size_t open_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  // Calls of StartRead and StartWrite under way: no end before they have returned.
  int starting_ ABSL_GUARDED_BY(mutex_) = 0;
  bool no_more_reads_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;  // Nobody reads results any more.
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status status_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<MetadataStream> self_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct
