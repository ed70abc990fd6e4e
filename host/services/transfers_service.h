// viaduct.control.v1.Transfers.
#pragma once

#include <string>
#include <vector>

#include "core/transfer/transfers.h"
#include "host/rpc/broadcast.h"
#include "host/services/deps.h"
#include "viaduct/control/v1/transfers.grpc.pb.h"

namespace viaduct {

// Thread-safe. FAILED_PRECONDITION on a node that sends no files.
class TransfersService final : public control::v1::Transfers::CallbackService {
 public:
  static constexpr uint32_t kDefaultPage = 100;
  static constexpr uint32_t kMaxPage = 1000;
  static constexpr int kMaxFilterIds = 1000;
  static constexpr size_t kMaxPending = 16'384;  // Transfers that wait to be sent to one watcher.

  explicit TransfersService(const ServiceDeps* deps) : deps_(deps) {}

  grpc::ServerUnaryReactor* GetInfo(grpc::CallbackServerContext* context,
                                    const control::v1::TransfersGetInfoRequest* request,
                                    control::v1::TransfersGetInfoResponse* response) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const control::v1::TransfersListRequest* request,
                                 control::v1::TransfersListResponse* response) override;
  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context,
                                const control::v1::TransfersGetRequest* request,
                                control::v1::TransfersGetResponse* response) override;
  grpc::ServerWriteReactor<control::v1::TransfersWatchResponse>* Watch(
      grpc::CallbackServerContext* context,
      const control::v1::TransfersWatchRequest* request) override;
  grpc::ServerUnaryReactor* Cancel(grpc::CallbackServerContext* context,
                                   const control::v1::TransfersCancelRequest* request,
                                   control::v1::TransfersCancelResponse* response) override;
  grpc::ServerUnaryReactor* Retry(grpc::CallbackServerContext* context,
                                  const control::v1::TransfersRetryRequest* request,
                                  control::v1::TransfersRetryResponse* response) override;

  // A transfer has changed, or moved on.
  void OnChanged(const Transfer& transfer);
  void CloseAll(const grpc::Status& status) { watchers_.CloseAll(status); }

 private:
  using Watchers = rpc::Broadcast<control::v1::TransfersWatchResponse, std::vector<std::string>>;

  void QueueState(const std::vector<std::string>& devices, Watchers::Fresh fresh);

  const ServiceDeps* const deps_;
  Watchers watchers_;  // With the devices of each; none: all.
};

}  // namespace viaduct
