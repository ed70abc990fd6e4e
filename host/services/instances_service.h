// viaduct.control.v1.Instances.
#pragma once

#include <functional>
#include <string>

#include "host/services/deps.h"
#include "viaduct/control/v1/instances.grpc.pb.h"

namespace viaduct {

// Thread-safe.
class InstancesService final : public control::v1::Instances::CallbackService {
 public:
  static constexpr absl::Duration kDefaultDrain = absl::Seconds(10);
  static constexpr absl::Duration kMaxDrain = absl::Minutes(10);

  explicit InstancesService(const ServiceDeps* deps) : deps_(deps) {}

  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const control::v1::InstancesListRequest* request,
                                 control::v1::InstancesListResponse* response) override;
  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context,
                                const control::v1::InstancesGetRequest* request,
                                control::v1::InstancesGetResponse* response) override;
  grpc::ServerUnaryReactor* Start(grpc::CallbackServerContext* context,
                                  const control::v1::InstancesStartRequest* request,
                                  control::v1::InstancesStartResponse* response) override;
  grpc::ServerUnaryReactor* Stop(grpc::CallbackServerContext* context,
                                 const control::v1::InstancesStopRequest* request,
                                 control::v1::InstancesStopResponse* response) override;
  grpc::ServerUnaryReactor* Drain(grpc::CallbackServerContext* context,
                                  const control::v1::InstancesDrainRequest* request,
                                  control::v1::InstancesDrainResponse* response) override;
  grpc::ServerUnaryReactor* Restart(grpc::CallbackServerContext* context,
                                    const control::v1::InstancesRestartRequest* request,
                                    control::v1::InstancesRestartResponse* response) override;
  grpc::ServerWriteReactor<control::v1::InstancesWatchResponse>* Watch(
      grpc::CallbackServerContext* context,
      const control::v1::InstancesWatchRequest* request) override;

 private:
  // Carries out a change of one instance, writes it down and shows what became of it.
  grpc::ServerUnaryReactor* Change(Executor* executor, grpc::CallbackServerContext* context,
                                   const char* method, const std::string& name,
                                   std::function<absl::Status()> change,
                                   control::v1::Instance* shown);

  const ServiceDeps* const deps_;
};

}  // namespace viaduct
