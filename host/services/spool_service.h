// viaduct.control.v1.Spool.
#pragma once

#include "host/services/deps.h"
#include "viaduct/control/v1/spool.grpc.pb.h"

namespace viaduct {

// Thread-safe. FAILED_PRECONDITION on a node without a spool.
class SpoolService final : public control::v1::Spool::CallbackService {
 public:
  static constexpr uint32_t kDefaultPage = 100;
  static constexpr uint32_t kMaxPage = 1000;
  static constexpr int kMaxFilterIds = 1000;
  static constexpr size_t kMaxReasonBytes = 1024;

  explicit SpoolService(const ServiceDeps* deps) : deps_(deps) {}

  grpc::ServerUnaryReactor* GetInfo(grpc::CallbackServerContext* context,
                                    const control::v1::SpoolGetInfoRequest* request,
                                    control::v1::SpoolGetInfoResponse* response) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const control::v1::SpoolListRequest* request,
                                 control::v1::SpoolListResponse* response) override;
  grpc::ServerUnaryReactor* Retry(grpc::CallbackServerContext* context,
                                  const control::v1::SpoolRetryRequest* request,
                                  control::v1::SpoolRetryResponse* response) override;
  grpc::ServerUnaryReactor* Drop(grpc::CallbackServerContext* context,
                                 const control::v1::SpoolDropRequest* request,
                                 control::v1::SpoolDropResponse* response) override;

 private:
  const ServiceDeps* const deps_;
};

}  // namespace viaduct
