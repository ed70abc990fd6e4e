// viaduct.control.v1.Backup.
#pragma once

#include "host/services/deps.h"
#include "viaduct/control/v1/backup.grpc.pb.h"

namespace viaduct {

// Thread-safe. FAILED_PRECONDITION on a node without the section "backup".
class BackupService final : public control::v1::Backup::CallbackService {
 public:
  static constexpr size_t kMaxWaiting = 4;  // Messages of progress, merged beyond.

  explicit BackupService(const ServiceDeps* deps) : deps_(deps) {}

  grpc::ServerWriteReactor<control::v1::BackupCreateResponse>* Create(
      grpc::CallbackServerContext* context,
      const control::v1::BackupCreateRequest* request) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const control::v1::BackupListRequest* request,
                                 control::v1::BackupListResponse* response) override;
  grpc::ServerUnaryReactor* Prune(grpc::CallbackServerContext* context,
                                  const control::v1::BackupPruneRequest* request,
                                  control::v1::BackupPruneResponse* response) override;

 private:
  const ServiceDeps* const deps_;
};

}  // namespace viaduct
