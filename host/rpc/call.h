// How handlers answer: at once, or from a pool where they do what may take long, so that a gRPC
// thread never blocks.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <utility>

#include "core/base/executor.h"
#include "host/rpc/status.h"

namespace viaduct::rpc {

inline grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, grpc::Status status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(std::move(status));
  return reactor;
}

// Answers with what `work` returns; it is skipped when the caller has gone meanwhile.
template <typename Work>
grpc::ServerUnaryReactor* RunOn(Executor* executor, grpc::CallbackServerContext* context,
                                Work work) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  bool queued = executor->Submit([context, reactor, work = std::move(work)]() mutable {
    if (context->IsCancelled()) {
      reactor->Finish(grpc::Status::CANCELLED);
      return;
    }
    reactor->Finish(work());
  });
  if (!queued) {
    reactor->Finish(ToGrpc(
        absl::ResourceExhaustedError("control: too many calls are waiting, try again later")));
  }
  return reactor;
}

// Streams that only carry an error.
template <typename Request>
class RejectedRead final : public grpc::ServerReadReactor<Request> {
 public:
  explicit RejectedRead(grpc::Status status) { this->Finish(std::move(status)); }
  void OnDone() override { delete this; }
};
template <typename Request, typename Response>
class RejectedBidi final : public grpc::ServerBidiReactor<Request, Response> {
 public:
  explicit RejectedBidi(grpc::Status status) { this->Finish(std::move(status)); }
  void OnDone() override { delete this; }
};

}  // namespace viaduct::rpc
