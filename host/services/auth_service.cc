#include "host/services/auth_service.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/message/json_scanner.h"
#include "host/rpc/convert.h"
#include "host/services/auth_convert.h"

namespace viaduct {
namespace {

namespace pb = control::v1;
using security::ApiKeyRecord;
using security::ApiKeyStore;

// Keys of a list begin behind the one that the token names.
std::string TokenOf(const ApiKeyRecord& record) {
  return absl::StrCat(absl::ToUnixNanos(record.created), "-", record.key_id);
}

bool IsBehind(const ApiKeyRecord& record, absl::Time created, const std::string& key_id) {
  return record.created != created ? record.created > created : record.key_id > key_id;
}

// False: it is no token of such a list.
bool ReadToken(const std::string& token, absl::Time* created, std::string* key_id) {
  const size_t dash = token.find('-', 1);  // The number may have one in front.
  int64_t nanos = 0;
  if (dash == std::string::npos || !absl::SimpleAtoi(token.substr(0, dash), &nanos)) return false;
  *created = absl::FromUnixNanos(nanos);
  *key_id = token.substr(dash + 1);
  return true;
}

absl::StatusOr<ApiKeyRecord> Find(const ApiKeyStore& store, const std::string& key_id) {
  for (ApiKeyRecord& record : store.List()) {
    if (record.key_id == key_id) return std::move(record);
  }
  return absl::NotFoundError(
      absl::StrCat("api key: there is none with the id ", ShownText(key_id)));
}

// How long a key holds; infinite where nothing is said.
absl::Duration ReadValid(bool present, const google::protobuf::Duration& value,
                         rpc::Violations* violations) {
  return rpc::ReadDuration(
      present, value, {absl::InfiniteDuration(), AuthService::kMinValid, AuthService::kMaxValid},
      "valid_for", violations);
}

}  // namespace

grpc::Status AuthService::NotConfigured() {
  return rpc::ToGrpc(absl::FailedPreconditionError(
      "auth: this node asks nobody for credentials, its configuration has no section auth"));
}

uint32_t AuthService::PageSize(uint32_t asked, rpc::Violations* violations) {
  if (asked > kMaxPage) {
    violations->Add("page_size", absl::StrCat("at most ", kMaxPage, ", got ", asked));
  }
  return asked == 0 ? kDefaultPage : asked;
}

grpc::ServerUnaryReactor* AuthService::WhoAmI(grpc::CallbackServerContext* context,
                                              const pb::AuthWhoAmIRequest* /*request*/,
                                              pb::AuthWhoAmIResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Auth/WhoAmI")) {
    return rpc::Answer(context, *std::move(refused));
  }
  response->set_peer(deps_->gate->Describe(*context));
  response->set_enforced(deps_->api_keys != nullptr);
  const rpc::PrincipalPtr principal = deps_->gate->Caller(*context);
  if (principal == nullptr) return rpc::Answer(context, grpc::Status::OK);  // Nobody.
  *response->mutable_principal() = rpc::ToProto(*principal);
  response->set_proof(std::string(security::ProofName(principal->proof)));
  response->set_proof_id(principal->proof_id);
  if (principal->expires != absl::InfiniteFuture()) {
    *response->mutable_expires_at() = rpc::ToProto(principal->expires);
  }
  return rpc::Answer(context, grpc::Status::OK);
}

grpc::ServerUnaryReactor* AuthService::ListKeys(grpc::CallbackServerContext* context,
                                                const pb::AuthListKeysRequest* request,
                                                pb::AuthListKeysResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Auth/ListKeys")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (deps_->api_keys == nullptr) return rpc::Answer(context, NotConfigured());
  rpc::Violations violations;
  const uint32_t size = PageSize(request->page_size(), &violations);
  absl::Time created = absl::InfinitePast();
  std::string key_id;
  if (!request->page_token().empty() && !ReadToken(request->page_token(), &created, &key_id)) {
    violations.Add("page_token", "not one of this list");
  }
  if (!violations.empty()) return rpc::Answer(context, violations.ToStatus("Auth.ListKeys"));
  return rpc::RunOn(deps_->executor, context, [this, request, response, size, created, key_id] {
    const absl::Time now = deps_->clock->Now();
    std::string last;
    for (const ApiKeyRecord& record : deps_->api_keys->List()) {
      const bool wanted =
          (request->principal_id().empty() || record.owner == request->principal_id()) &&
          (request->state() == pb::API_KEY_STATE_UNSPECIFIED ||
           rpc::StateOf(record, now) == request->state());
      if (!wanted || !IsBehind(record, created, key_id)) continue;
      if (static_cast<uint32_t>(response->keys_size()) == size) {
        response->set_next_page_token(last);
        break;
      }
      *response->add_keys() = rpc::ToProto(record, now);
      last = TokenOf(record);
    }
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* AuthService::CreateKey(grpc::CallbackServerContext* context,
                                                 const pb::AuthCreateKeyRequest* request,
                                                 pb::AuthCreateKeyResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Auth/CreateKey")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (deps_->api_keys == nullptr) return rpc::Answer(context, NotConfigured());
  rpc::Violations violations;
  const security::Principal principal =
      rpc::ReadPrincipal(request->principal(), "principal", &violations);
  const absl::Duration valid =
      ReadValid(request->has_valid_for(), request->valid_for(), &violations);
  if (!violations.empty()) return rpc::Answer(context, violations.ToStatus("Auth.CreateKey"));
  const auto work = [this, principal, request, response,
                     valid](std::string* subject) -> absl::Status {
    ApiKeyRecord wanted;
    wanted.kind = principal.kind;
    wanted.owner = principal.id;
    wanted.role = principal.role;
    wanted.scopes = principal.scopes;
    wanted.devices = principal.devices;
    wanted.note = request->note();
    wanted.expires = deps_->clock->Now() + valid;
    VD_ASSIGN_OR_RETURN(security::NewKey made, deps_->api_keys->Create(wanted));
    absl::StrAppend(subject, ", key ", made.record.key_id);
    response->set_key(std::move(made.text));
    *response->mutable_record() = rpc::ToProto(made.record, deps_->clock->Now());
    return absl::OkStatus();
  };
  return Change(deps_->executor, context, "Auth.CreateKey", rpc::Grant(principal), work);
}

grpc::ServerUnaryReactor* AuthService::RotateKey(grpc::CallbackServerContext* context,
                                                 const pb::AuthRotateKeyRequest* request,
                                                 pb::AuthRotateKeyResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Auth/RotateKey")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (deps_->api_keys == nullptr) return rpc::Answer(context, NotConfigured());
  rpc::Violations violations;
  const absl::Duration overlap = rpc::ReadDuration(
      request->has_overlap(), request->overlap(),
      {kDefaultOverlap, absl::ZeroDuration(), ApiKeyStore::kMaxOverlap}, "overlap", &violations);
  const absl::Duration valid =
      ReadValid(request->has_valid_for(), request->valid_for(), &violations);
  if (!violations.empty()) return rpc::Answer(context, violations.ToStatus("Auth.RotateKey"));
  const auto work = [this, request, response, overlap,
                     valid](std::string* subject) -> absl::Status {
    VD_ASSIGN_OR_RETURN(const ApiKeyRecord old, Find(*deps_->api_keys, request->key_id()));
    const absl::Duration lifetime = request->has_valid_for() ? valid : old.expires - old.created;
    VD_ASSIGN_OR_RETURN(
        security::NewKey made,
        deps_->api_keys->Rotate(request->key_id(), overlap, deps_->clock->Now() + lifetime));
    absl::StrAppend(subject, ", new key ", made.record.key_id);
    const absl::Time now = deps_->clock->Now();
    response->set_key(std::move(made.text));
    *response->mutable_record() = rpc::ToProto(made.record, now);
    const auto replaced = Find(*deps_->api_keys, request->key_id());
    if (replaced.ok()) *response->mutable_replaced() = rpc::ToProto(*replaced, now);
    return absl::OkStatus();
  };
  return Change(deps_->executor, context, "Auth.RotateKey",
                absl::StrCat("key ", ShownText(request->key_id())), work);
}

grpc::ServerUnaryReactor* AuthService::RevokeKey(grpc::CallbackServerContext* context,
                                                 const pb::AuthRevokeKeyRequest* request,
                                                 pb::AuthRevokeKeyResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Auth/RevokeKey")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (deps_->api_keys == nullptr) return rpc::Answer(context, NotConfigured());
  const auto work = [this, request, response](std::string* subject) -> absl::Status {
    VD_RETURN_IF_ERROR(deps_->api_keys->Revoke(request->key_id()));
    VD_ASSIGN_OR_RETURN(const ApiKeyRecord record, Find(*deps_->api_keys, request->key_id()));
    absl::StrAppend(subject, " of ", AbslView(security::PrincipalKindName(record.kind)), " ",
                    record.owner, request->forget() ? ", forgotten" : "");
    *response->mutable_record() = rpc::ToProto(record, deps_->clock->Now());
    return request->forget() ? deps_->api_keys->Forget(request->key_id()) : absl::OkStatus();
  };
  return Change(deps_->executor, context, "Auth.RevokeKey",
                absl::StrCat("key ", ShownText(request->key_id())), work);
}

}  // namespace viaduct
