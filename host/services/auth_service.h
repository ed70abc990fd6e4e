// viaduct.control.v1.Auth.
#pragma once

#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "host/rpc/call.h"
#include "host/services/deps.h"
#include "viaduct/control/v1/auth.grpc.pb.h"

namespace viaduct {

// Thread-safe.
class AuthService final : public control::v1::Auth::CallbackService {
 public:
  static constexpr uint32_t kDefaultPage = 100;
  static constexpr uint32_t kMaxPage = 1000;
  static constexpr absl::Duration kDefaultOverlap = absl::Hours(24);
  static constexpr absl::Duration kMinValid = absl::Seconds(1);
  static constexpr absl::Duration kMaxValid = absl::Hours(24 * 36'500);

  explicit AuthService(const ServiceDeps* deps) : deps_(deps) {}

  grpc::ServerUnaryReactor* WhoAmI(grpc::CallbackServerContext* context,
                                   const control::v1::AuthWhoAmIRequest* request,
                                   control::v1::AuthWhoAmIResponse* response) override;
  grpc::ServerUnaryReactor* ListKeys(grpc::CallbackServerContext* context,
                                     const control::v1::AuthListKeysRequest* request,
                                     control::v1::AuthListKeysResponse* response) override;
  grpc::ServerUnaryReactor* CreateKey(grpc::CallbackServerContext* context,
                                      const control::v1::AuthCreateKeyRequest* request,
                                      control::v1::AuthCreateKeyResponse* response) override;
  grpc::ServerUnaryReactor* RotateKey(grpc::CallbackServerContext* context,
                                      const control::v1::AuthRotateKeyRequest* request,
                                      control::v1::AuthRotateKeyResponse* response) override;
  grpc::ServerUnaryReactor* RevokeKey(grpc::CallbackServerContext* context,
                                      const control::v1::AuthRevokeKeyRequest* request,
                                      control::v1::AuthRevokeKeyResponse* response) override;

  // auth_users.cc
  grpc::ServerUnaryReactor* ListUsers(grpc::CallbackServerContext* context,
                                      const control::v1::AuthListUsersRequest* request,
                                      control::v1::AuthListUsersResponse* response) override;
  grpc::ServerUnaryReactor* SetUser(grpc::CallbackServerContext* context,
                                    const control::v1::AuthSetUserRequest* request,
                                    control::v1::AuthSetUserResponse* response) override;
  grpc::ServerUnaryReactor* SetPassword(grpc::CallbackServerContext* context,
                                        const control::v1::AuthSetPasswordRequest* request,
                                        control::v1::AuthSetPasswordResponse* response) override;
  grpc::ServerUnaryReactor* RemoveUser(grpc::CallbackServerContext* context,
                                       const control::v1::AuthRemoveUserRequest* request,
                                       control::v1::AuthRemoveUserResponse* response) override;

  // auth_audit.cc
  grpc::ServerUnaryReactor* ListAudit(grpc::CallbackServerContext* context,
                                      const control::v1::AuthListAuditRequest* request,
                                      control::v1::AuthListAuditResponse* response) override;
  grpc::ServerUnaryReactor* VerifyAudit(grpc::CallbackServerContext* context,
                                        const control::v1::AuthVerifyAuditRequest* request,
                                        control::v1::AuthVerifyAuditResponse* response) override;

 private:
  static grpc::Status NotConfigured();
  // How many are asked for; a violation where they are too many.
  static uint32_t PageSize(uint32_t asked, rpc::Violations* violations);

  // Does `work` between two records of the audit, or not at all where the first can not be kept. It
  // gets what it is about, and may say more.
  template <typename Work>
  grpc::ServerUnaryReactor* Change(Executor* executor, grpc::CallbackServerContext* context,
                                   const char* method, std::string subject, Work work) {
    const std::string author = deps_->gate->Describe(*context);
    return rpc::RunOn(executor, context,
                      [this, author, method, subject = std::move(subject), work]() mutable {
                        absl::Status status = AuditBegin(*deps_, author, method, subject);
                        if (!status.ok()) return rpc::ToGrpc(status);
                        status = work(&subject);
                        Audit(*deps_, author, method, subject, status);
                        return rpc::ToGrpc(status);
                      });
  }

  const ServiceDeps* const deps_;
};

}  // namespace viaduct
