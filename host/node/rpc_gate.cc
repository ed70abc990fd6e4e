#include "host/node/rpc_gate.h"

#include <grpc/grpc_security_constants.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "core/base/string_view.h"
#include "core/security/permissions.h"
#include "core/security/pki.h"
#include "host/rpc/status.h"

namespace viaduct {
namespace {

constexpr absl::string_view kBearer = "bearer ";
// What shows messages, and with them plates.
constexpr std::array<std::string_view, 4> kShowPlates = {
    "viaduct.gateway.v1.Gateway/Subscribe", "viaduct.gateway.v1.Gateway/Infer",
    "viaduct.control.v1.Spool/List", "viaduct.control.v1.Logs/Tail"};

absl::string_view Text(grpc::string_ref text) { return {text.data(), text.size()}; }

// gRPC has checked chain and key.
void AddCertificate(const grpc::AuthContext& auth, Attributes* credentials) {
  const auto pem = auth.FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (pem.empty()) return;
  const auto facts = security::ParseCertificate(StdView(Text(pem.front())));
  if (!facts.ok()) return;
  credentials->emplace_back("certificate_sha256", facts->sha256);
  credentials->emplace_back("certificate_subject", facts->subject);
  for (const std::string& name : facts->names) credentials->emplace_back("certificate_san", name);
}

// "ipv4:192.0.2.7:51234", "ipv6:%5B2001:db8::1%5D:51234" without their family.
std::string AddressOf(const std::string& peer) {
  absl::string_view address = peer;
  if (absl::ConsumePrefix(&address, "ipv4:")) return std::string(address);
  if (!absl::ConsumePrefix(&address, "ipv6:")) return peer;
  return absl::StrReplaceAll(address, {{"%5B", "["}, {"%5D", "]"}});
}

}  // namespace

Peer GuardedGate::PeerOf(const grpc::ServerContextBase& context) const {
  Peer peer;
  for (const auto& [name, value] : context.client_metadata()) {
    if (Text(name) == "x-api-key") peer.credentials.emplace_back("api_key", Text(value));
    if (Text(name) == "authorization" && absl::StartsWithIgnoreCase(Text(value), kBearer)) {
      peer.credentials.emplace_back("bearer", Text(value).substr(kBearer.size()));
    }
  }
  if (const auto process = peers_->OnSocket(context)) {
    // Their number is bounded by the file's mode; each is one of two.
    peer.address = absl::StrCat("unix:uid ", process->uid);
    peer.credentials.emplace_back("uid", absl::StrCat(process->uid));
    return peer;
  }
  peer.address = AddressOf(context.peer());
  const auto auth = context.auth_context();
  if (auth != nullptr && auth->IsPeerAuthenticated()) AddCertificate(*auth, &peer.credentials);
  return peer;
}

absl::Status GuardedGate::Check(const security::Principal* who, std::string_view method) const {
  const security::Permission* const row = security::FindPermission(security::Surface::kRpc, method);
  if (row == nullptr) return absl::PermissionDeniedError("not allowed: no such row");
  absl::Status allowed = security::CheckAction(who, *row, clock_->Now());
  const bool shows = std::find(kShowPlates.begin(), kShowPlates.end(), method) != kShowPlates.end();
  if (allowed.ok() && shows && mask_.AppliesTo(who)) {
    allowed = absl::PermissionDeniedError(
        absl::StrCat(AbslView(method), ": not allowed, plates are masked for this role"));
  }
  return allowed;
}

std::optional<grpc::Status> GuardedGate::Refuse(const grpc::ServerContextBase& context,
                                                std::string_view method) {
  absl::Duration retry_after = rpc::kRetryDelay;
  const absl::StatusOr<PrincipalPtr> caller = gatekeeper_->Identify(PeerOf(context), &retry_after);
  if (!caller.ok()) return rpc::ToGrpc(caller.status(), retry_after);
  const absl::Status allowed = Check(caller->get(), method);
  if (allowed.ok()) return std::nullopt;
  return rpc::ToGrpc(allowed);
}

rpc::StandingFn GuardedGate::Standing(const grpc::ServerContextBase& context,
                                      std::string_view method) {
  struct Looked {
    std::atomic<uint64_t> changes;
    std::atomic<int64_t> at_ns;
  };
  const auto looked = std::make_shared<Looked>();
  looked->changes = gatekeeper_->changes();
  looked->at_ns = clock_->MonotonicNanos();
  return [this, looked, peer = PeerOf(context), method = std::string(method)]() -> grpc::Status {
    const int64_t now = clock_->MonotonicNanos();
    const uint64_t changes = gatekeeper_->changes();
    const bool fresh = absl::Nanoseconds(now - looked->at_ns) < kStandingAge;
    if (fresh && looked->changes == changes) return grpc::Status::OK;
    const PrincipalPtr who = gatekeeper_->Recognise(peer);
    if (who == nullptr && !peer.credentials.empty()) {
      return rpc::AcceptedNoLonger();
    }
    const absl::Status allowed = Check(who.get(), method);
    if (!allowed.ok()) return rpc::ToGrpc(allowed);
    looked->changes = changes;
    looked->at_ns = now;
    return grpc::Status::OK;
  };
}

// What has no row is the device's own: an admin's business.
std::optional<grpc::Status> GuardedGate::RefuseCommand(const grpc::ServerContextBase& context,
                                                       std::string_view command) {
  const PrincipalPtr who = Caller(context);
  const security::Permission* const row =
      security::FindPermission(security::Surface::kCommand, command);
  absl::Status allowed =
      absl::PermissionDeniedError("command: not one of the known ones, only an admin may give it");
  if (row != nullptr) allowed = security::CheckAllowed(who.get(), *row, "", clock_->Now());
  if (row == nullptr && who != nullptr && who->role == security::Role::kAdmin &&
      who->scopes.Has(security::Scope::kManage)) {
    allowed = absl::OkStatus();
  }
  if (allowed.ok()) return std::nullopt;
  return rpc::ToGrpc(allowed);
}

rpc::PrincipalPtr GuardedGate::Caller(const grpc::ServerContextBase& context) {
  return gatekeeper_->Recognise(PeerOf(context));
}

std::string GuardedGate::Describe(const grpc::ServerContextBase& context) {
  const PrincipalPtr who = Caller(context);
  return who != nullptr ? who->Describe() : peers_->Describe(context);
}

}  // namespace viaduct
