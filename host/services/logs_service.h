// viaduct.control.v1.Logs.
#pragma once

#include "host/services/deps.h"
#include "viaduct/control/v1/logs.grpc.pb.h"

namespace viaduct {

// Thread-safe.
class LogsService final : public control::v1::Logs::CallbackService {
 public:
  explicit LogsService(const ServiceDeps* deps) : deps_(deps) {}

  grpc::ServerWriteReactor<control::v1::LogsTailResponse>* Tail(
      grpc::CallbackServerContext* context, const control::v1::LogsTailRequest* request) override;
  grpc::ServerUnaryReactor* GetLevels(grpc::CallbackServerContext* context,
                                      const control::v1::LogsGetLevelsRequest* request,
                                      control::v1::LogsGetLevelsResponse* response) override;
  grpc::ServerUnaryReactor* SetLevel(grpc::CallbackServerContext* context,
                                     const control::v1::LogsSetLevelRequest* request,
                                     control::v1::LogsSetLevelResponse* response) override;
  grpc::ServerUnaryReactor* ResetLevel(grpc::CallbackServerContext* context,
                                       const control::v1::LogsResetLevelRequest* request,
                                       control::v1::LogsResetLevelResponse* response) override;

 private:
  const ServiceDeps* const deps_;
};

}  // namespace viaduct
