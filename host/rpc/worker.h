// Where handlers do what may take long, so that a gRPC thread never blocks.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <deque>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "host/rpc/status.h"

namespace viaduct::rpc {

// A few threads, started when first needed, and a bounded queue. Thread-safe.
class Worker {
 public:
  static constexpr int kMaxThreads = 4;
  static constexpr size_t kMaxQueued = 64;

  Worker() = default;
  ~Worker();  // Runs what is queued, then joins.
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // RESOURCE_EXHAUSTED when the queue is full, UNAVAILABLE after Stop.
  absl::Status Post(std::function<void()> task);
  // Runs what is queued and joins. No task may post after this.
  void Stop();

 private:
  void Run();

  absl::Mutex mutex_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  int idle_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

// Answers a unary call from the worker; `work` is skipped when the caller has gone meanwhile.
template <typename Work>
grpc::ServerUnaryReactor* RunOn(Worker* worker, grpc::CallbackServerContext* context, Work work) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  absl::Status posted = worker->Post([context, reactor, work = std::move(work)]() mutable {
    if (context->IsCancelled()) {
      reactor->Finish(grpc::Status::CANCELLED);
      return;
    }
    reactor->Finish(work());
  });
  if (!posted.ok()) reactor->Finish(ToGrpc(posted));
  return reactor;
}

// Answers a unary call at once.
inline grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, grpc::Status status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(std::move(status));
  return reactor;
}

}  // namespace viaduct::rpc
