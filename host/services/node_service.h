// viaduct.control.v1.Node.
#pragma once

#include "host/services/deps.h"
#include "viaduct/control/v1/node.grpc.pb.h"

namespace viaduct {

// Thread-safe.
class NodeService final : public control::v1::Node::CallbackService {
 public:
  static constexpr absl::Duration kDefaultDrain = absl::Seconds(10);
  static constexpr absl::Duration kMaxDrain = absl::Minutes(10);

  explicit NodeService(const ServiceDeps* deps) : deps_(deps) {}

  grpc::ServerUnaryReactor* GetInfo(grpc::CallbackServerContext* context,
                                    const control::v1::NodeGetInfoRequest* request,
                                    control::v1::NodeGetInfoResponse* response) override;
  grpc::ServerUnaryReactor* Drain(grpc::CallbackServerContext* context,
                                  const control::v1::NodeDrainRequest* request,
                                  control::v1::NodeDrainResponse* response) override;
  grpc::ServerWriteReactor<control::v1::NodeWatchResponse>* Watch(
      grpc::CallbackServerContext* context, const control::v1::NodeWatchRequest* request) override;

 private:
  const ServiceDeps* const deps_;
};

}  // namespace viaduct
