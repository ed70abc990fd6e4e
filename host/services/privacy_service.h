// viaduct.control.v1.Privacy.
#pragma once

#include "core/lpr/privacy.h"
#include "host/services/deps.h"
#include "viaduct/control/v1/privacy.grpc.pb.h"

namespace viaduct {

// Thread-safe.
class PrivacyService final : public control::v1::Privacy::CallbackService {
 public:
  static constexpr size_t kPartBytes = 1u << 20;  // Of an image, in one message.
  // For a reader that takes nothing: the thread is wanted by others.
  static constexpr absl::Duration kReaderPatience = absl::Seconds(30);

  explicit PrivacyService(const ServiceDeps* deps) : deps_(deps) {}

  grpc::ServerWriteReactor<control::v1::PrivacyExportResponse>* Export(
      grpc::CallbackServerContext* context,
      const control::v1::PrivacyExportRequest* request) override;
  grpc::ServerUnaryReactor* Erase(grpc::CallbackServerContext* context,
                                  const control::v1::PrivacyEraseRequest* request,
                                  control::v1::PrivacyEraseResponse* response) override;
  grpc::ServerUnaryReactor* Sweep(grpc::CallbackServerContext* context,
                                  const control::v1::PrivacySweepRequest* request,
                                  control::v1::PrivacySweepResponse* response) override;

 private:
  const ServiceDeps* const deps_;
};

}  // namespace viaduct
