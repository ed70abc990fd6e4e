// viaduct.control.v1.Config.
#pragma once

#include "host/services/deps.h"
#include "viaduct/control/v1/config.grpc.pb.h"

namespace viaduct {

// Thread-safe.
class ConfigService final : public control::v1::Config::CallbackService {
 public:
  static constexpr uint32_t kDefaultRevisions = 100;
  static constexpr uint32_t kMaxRevisions = 1000;

  explicit ConfigService(const ServiceDeps* deps) : deps_(deps) {}

  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context,
                                const control::v1::ConfigGetRequest* request,
                                control::v1::ConfigGetResponse* response) override;
  grpc::ServerUnaryReactor* GetSchema(grpc::CallbackServerContext* context,
                                      const control::v1::ConfigGetSchemaRequest* request,
                                      control::v1::ConfigGetSchemaResponse* response) override;
  grpc::ServerUnaryReactor* Validate(grpc::CallbackServerContext* context,
                                     const control::v1::ConfigValidateRequest* request,
                                     control::v1::ConfigValidateResponse* response) override;
  grpc::ServerUnaryReactor* Plan(grpc::CallbackServerContext* context,
                                 const control::v1::ConfigPlanRequest* request,
                                 control::v1::ConfigPlanResponse* response) override;
  grpc::ServerUnaryReactor* Apply(grpc::CallbackServerContext* context,
                                  const control::v1::ConfigApplyRequest* request,
                                  control::v1::ConfigApplyResponse* response) override;
  grpc::ServerUnaryReactor* Confirm(grpc::CallbackServerContext* context,
                                    const control::v1::ConfigConfirmRequest* request,
                                    control::v1::ConfigConfirmResponse* response) override;
  grpc::ServerUnaryReactor* Cancel(grpc::CallbackServerContext* context,
                                   const control::v1::ConfigCancelRequest* request,
                                   control::v1::ConfigCancelResponse* response) override;
  grpc::ServerUnaryReactor* Rollback(grpc::CallbackServerContext* context,
                                     const control::v1::ConfigRollbackRequest* request,
                                     control::v1::ConfigRollbackResponse* response) override;
  grpc::ServerUnaryReactor* ListRevisions(
      grpc::CallbackServerContext* context, const control::v1::ConfigListRevisionsRequest* request,
      control::v1::ConfigListRevisionsResponse* response) override;
  grpc::ServerWriteReactor<control::v1::ConfigWatchResponse>* Watch(
      grpc::CallbackServerContext* context,
      const control::v1::ConfigWatchRequest* request) override;

 private:
  const ServiceDeps* const deps_;
};

}  // namespace viaduct
