// Users of viaduct.control.v1.Auth.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/message/json_scanner.h"
#include "host/services/auth_convert.h"
#include "host/services/auth_service.h"

namespace viaduct {
namespace {

namespace pb = control::v1;
using security::UserRecord;

security::UserRecord RecordOf(const security::Principal& principal, bool disabled) {
  UserRecord user;
  user.name = principal.id;
  user.kind = principal.kind;
  user.role = principal.role;
  user.scopes = principal.scopes;
  user.devices = principal.devices;
  user.disabled = disabled;
  return user;
}

absl::StatusOr<UserRecord> Find(const security::UserStore& store, const std::string& name) {
  for (UserRecord& user : store.List()) {
    if (user.name == name) return std::move(user);
  }
  return absl::NotFoundError(absl::StrCat("user: there is none called ", ShownText(name)));
}

}  // namespace

grpc::ServerUnaryReactor* AuthService::ListUsers(grpc::CallbackServerContext* context,
                                                 const pb::AuthListUsersRequest* request,
                                                 pb::AuthListUsersResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Auth/ListUsers")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (deps_->users == nullptr) return rpc::Answer(context, NotConfigured());
  rpc::Violations violations;
  const uint32_t size = PageSize(request->page_size(), &violations);
  if (!violations.empty()) return rpc::Answer(context, violations.ToStatus("Auth.ListUsers"));
  return rpc::RunOn(deps_->executor, context, [this, request, response, size] {
    for (const UserRecord& user : deps_->users->List()) {
      if (user.name <= request->page_token()) continue;
      if (static_cast<uint32_t>(response->users_size()) == size) {
        response->set_next_page_token(response->users().rbegin()->principal().id());
        break;
      }
      *response->add_users() = rpc::ToProto(user);
    }
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* AuthService::SetUser(grpc::CallbackServerContext* context,
                                               const pb::AuthSetUserRequest* request,
                                               pb::AuthSetUserResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Auth/SetUser")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (deps_->users == nullptr) return rpc::Answer(context, NotConfigured());
  rpc::Violations violations;
  const security::Principal principal =
      rpc::ReadPrincipal(request->user().principal(), "user.principal", &violations);
  if (!violations.empty()) return rpc::Answer(context, violations.ToStatus("Auth.SetUser"));
  const auto work = [this, request, response, principal](std::string* /*subject*/) -> absl::Status {
    const UserRecord user = RecordOf(principal, request->user().disabled());
    absl::Status status = request->password().empty()
                              ? deps_->users->Change(user)
                              : deps_->users->Put(user, request->password());
    if (absl::IsNotFound(status)) {
      return absl::InvalidArgumentError(
          absl::StrCat("password: missing, and there is no user ", ShownText(user.name), " yet"));
    }
    VD_RETURN_IF_ERROR(status);
    VD_ASSIGN_OR_RETURN(const UserRecord kept, Find(*deps_->users, user.name));
    *response->mutable_user() = rpc::ToProto(kept);
    return absl::OkStatus();
  };
  std::string subject = rpc::Grant(principal);
  if (request->user().disabled()) absl::StrAppend(&subject, ", disabled");
  if (!request->password().empty()) absl::StrAppend(&subject, ", with a password");
  return Change(deps_->auth, context, "Auth.SetUser", std::move(subject), work);
}

grpc::ServerUnaryReactor* AuthService::SetPassword(grpc::CallbackServerContext* context,
                                                   const pb::AuthSetPasswordRequest* request,
                                                   pb::AuthSetPasswordResponse* /*response*/) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Auth/SetPassword")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (deps_->users == nullptr) return rpc::Answer(context, NotConfigured());
  return Change(deps_->auth, context, "Auth.SetPassword",
                absl::StrCat("user ", ShownText(request->name())), [this, request](std::string*) {
                  return deps_->users->SetPassword(request->name(), request->password());
                });
}

grpc::ServerUnaryReactor* AuthService::RemoveUser(grpc::CallbackServerContext* context,
                                                  const pb::AuthRemoveUserRequest* request,
                                                  pb::AuthRemoveUserResponse* /*response*/) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Auth/RemoveUser")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (deps_->users == nullptr) return rpc::Answer(context, NotConfigured());
  return Change(deps_->executor, context, "Auth.RemoveUser",
                absl::StrCat("user ", ShownText(request->name())),
                [this, request](std::string*) { return deps_->users->Remove(request->name()); });
}

}  // namespace viaduct
