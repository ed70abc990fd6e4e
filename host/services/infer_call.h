// One Gateway.Infer call.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/lpr/sink.h"
#include "core/vision/vision.h"
#include "host/services/envelope_convert.h"
#include "viaduct/gateway/v1/gateway.grpc.pb.h"

namespace viaduct {

// Owned by gRPC until OnDone and by the picture under way. Thread-safe.
class InferCall final : public grpc::ServerUnaryReactor,
                        public std::enable_shared_from_this<InferCall> {
 public:
  static constexpr absl::Duration kPatience = absl::Seconds(30);  // Of a call without a deadline.
  static constexpr absl::Duration kMaxPatience = absl::Minutes(10);
  static constexpr size_t kMaxOptionsBytes = 64u << 10;
  static constexpr size_t kMaxAnswerBytes = 31u << 20;  // Result and crops.

  // All outlive the call.
  struct Deps {
    Vision* vision = nullptr;
    const EnvelopeReader* reader = nullptr;
    std::function<void(std::vector<Envelope>, Sink::AcceptFn)> ingest;
  };
  static InferCall* Start(Deps deps, grpc::CallbackServerContext* context,
                          const gateway::v1::InferRequest* request,
                          gateway::v1::InferResponse* response);

  void OnCancel() override;
  void OnDone() override { self_.reset(); }

 private:
  InferCall(Deps deps, const gateway::v1::InferRequest* request,
            gateway::v1::InferResponse* response)
      : deps_(std::move(deps)), request_(request), response_(response) {}

  void Begin(absl::Duration patience);
  void ReadOptions(std::string* json, rpc::Violations* violations) const;
  void ReadPicture(Frame* frame, rpc::Violations* violations) const;
  void ReadEnvelope(rpc::Violations* violations);
  void OnEnd(InferEnd end);
  grpc::Status Fill(const InferEnd& end);
  void Submit(const InferEnd& end);
  void OnSubmitted(const std::vector<AcceptResult>& results);
  grpc::Status StatusOf(const InferEnd& end);

  const Deps deps_;
  const gateway::v1::InferRequest* const request_;
  gateway::v1::InferResponse* const response_;
  Envelope envelope_;  // With submit.
  std::shared_ptr<InferCall> self_;
  absl::Mutex mutex_;
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;  // The caller.
  uint64_t job_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace viaduct
