// A server stream that never costs unbounded memory: what a slow watcher does not take is merged
// (messages with a key) or counted (messages without one).
#pragma once

#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "host/rpc/merging_queue.h"

namespace viaduct::rpc {

// Whether somebody may still see what a stream tells, asked before each message: OK, or what ends
// it. From any thread.
using StandingFn = std::function<grpc::Status()>;

// One watcher. Made with Create(); owned by gRPC until OnDone and by whoever pushes to it.
// Thread-safe.
template <typename Response>
class WatchStream final : public grpc::ServerWriteReactor<Response> {
 public:
  // Of what waits to be sent; one message larger than this still goes, alone.
  static constexpr size_t kMaxPendingBytes = 16u << 20;
  using Shared = std::shared_ptr<const Response>;

  // Makes the message that tells the watcher how many it has missed.
  using LaggedFn = std::function<Response(uint64_t missed)>;

  static std::shared_ptr<WatchStream> Create(size_t max_pending, LaggedFn lagged = nullptr) {
    auto stream = std::shared_ptr<WatchStream>(new WatchStream(max_pending, std::move(lagged)));
    absl::MutexLock lock(&stream->mutex_);
    stream->self_ = stream;
    return stream;
  }

  // What undoes the subscription; runs once when the stream is over, at once when it is over
  // already.
  void SetOnDone(std::function<void()> on_done) {
    {
      absl::MutexLock lock(&mutex_);
      if (!done_) {
        on_done_ = std::move(on_done);
        return;
      }
    }
    on_done();
  }

  // Null: nobody asks. Before the stream is given to gRPC.
  void SetStanding(StandingFn standing) {
    absl::MutexLock lock(&mutex_);
    if (standing != nullptr) standing_ = std::make_shared<const StandingFn>(std::move(standing));
  }

  // Queues a message without sending it yet: for callers that hold a lock. A message with a key
  // takes the place of the one with the same key that is still waiting. Nothing happens when the
  // stream is over.
  void Queue(Response response, std::string_view key = {}) {
    const size_t bytes = response.ByteSizeLong();
    Queue(std::make_shared<const Response>(std::move(response)), bytes, key, kMaxPendingBytes);
  }
  // The same with a message that other streams hold, too, and a limit of its own on what waits.
  void Queue(Shared response, size_t bytes, std::string_view key, size_t max_pending_bytes) {
    absl::MutexLock lock(&mutex_);
    if (closing_) return;
    missed_ += queue_.Put(key, std::move(response), bytes, {max_pending_, max_pending_bytes});
  }

  // Sends what is queued. Not with a lock held that a callback of the stream may want.
  void Flush() { Pump(); }

  void Push(Response response, std::string_view key = {}) {
    Queue(std::move(response), key);
    Flush();
  }

  // Counts messages that were lost before they came here.
  void AddMissed(uint64_t count) {
    absl::MutexLock lock(&mutex_);
    if (!closing_) missed_ += count;
  }

  // Ends the stream after what is queued.
  void Close(grpc::Status status) {
    {
      absl::MutexLock lock(&mutex_);
      if (closing_) return;
      closing_ = true;
      final_status_ = std::move(status);
    }
    Pump();
  }

  size_t pending() const {
    absl::MutexLock lock(&mutex_);
    return queue_.size();
  }

  void OnWriteDone(bool ok) override {
    {
      absl::MutexLock lock(&mutex_);
      writing_ = false;
      current_ = nullptr;
      if (!ok) Abandon();
    }
    Pump();
  }

  void OnCancel() override {
    {
      absl::MutexLock lock(&mutex_);
      Abandon();
    }
    Pump();
  }

  void OnDone() override {
    std::function<void()> on_done;
    std::shared_ptr<WatchStream> self;
    {
      absl::MutexLock lock(&mutex_);
      done_ = true;
      closing_ = true;
      on_done = std::move(on_done_);
      self = std::move(self_);
    }
    if (on_done) on_done();
  }

 private:
  WatchStream(size_t max_pending, LaggedFn lagged)
      : max_pending_(max_pending), lagged_(std::move(lagged)) {}

  void Abandon(const grpc::Status& why = grpc::Status::CANCELLED)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    queue_.Clear();
    missed_ = 0;
    if (!closing_) final_status_ = why;
    closing_ = true;
  }

  // Nothing that waits is shown to somebody who may see it no longer.
  void LookAtStanding() {
    std::shared_ptr<const StandingFn> standing;
    {
      absl::MutexLock lock(&mutex_);
      if (!finished_) standing = standing_;
    }
    if (standing == nullptr) return;
    const grpc::Status status = (*standing)();
    if (status.ok()) return;
    absl::MutexLock lock(&mutex_);
    Abandon(status);
  }

  // Starts the next write, or the end. Never holds the lock while it calls gRPC, which may call
  // back on the same stack.
  void Pump() {
    LookAtStanding();
    bool finish = false;
    grpc::Status status;
    {
      absl::MutexLock lock(&mutex_);
      if (writing_ || finished_) return;
      if (missed_ > 0 && lagged_) {
        current_ = std::make_shared<const Response>(lagged_(std::exchange(missed_, 0)));
        writing_ = true;
      } else if (!queue_.empty()) {
        current_ = queue_.TakeFront();
        writing_ = true;
      } else if (closing_) {
        finished_ = finish = true;
        status = final_status_;
      } else {
        return;
      }
    }
    if (finish) {
      this->Finish(std::move(status));
    } else {
      this->StartWrite(current_.get());
    }
  }

  const size_t max_pending_;
  const LaggedFn lagged_;
  mutable absl::Mutex mutex_;
  MergingQueue<Shared> queue_ ABSL_GUARDED_BY(mutex_);
  uint64_t missed_ ABSL_GUARDED_BY(mutex_) = 0;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status final_status_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const StandingFn> standing_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> on_done_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<WatchStream> self_ ABSL_GUARDED_BY(mutex_);
  Shared current_;  // Belongs to gRPC while writing_.
};

// The same stream, for as long as `standing` says.
template <typename Response>
grpc::ServerWriteReactor<Response>* WhileAllowed(WatchStream<Response>* stream,
                                                 StandingFn standing) {
  stream->SetStanding(std::move(standing));
  return stream;
}

// A stream that only carries an error.
template <typename Response>
WatchStream<Response>* RejectWatch(grpc::Status status) {
  auto stream = WatchStream<Response>::Create(1);
  stream->Close(std::move(status));
  return stream.get();  // gRPC owns it through the stream's own reference until OnDone.
}

}  // namespace viaduct::rpc
