#include "host/services/auth_convert.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/string_view.h"
#include "host/rpc/convert.h"

namespace viaduct::rpc {
namespace {

namespace pb = control::v1;
using security::PrincipalKind;
using security::Role;
using security::Scope;
using security::ScopeSet;

// The numbers of the core are those of the .proto, less the UNSPECIFIED.
static_assert(static_cast<int>(PrincipalKind::kLocalPeer) + 1 == pb::PRINCIPAL_KIND_LOCAL_PEER);
static_assert(static_cast<int>(Role::kAdmin) + 1 == pb::ROLE_ADMIN);
static_assert(static_cast<int>(Scope::kManage) + 1 == pb::SCOPE_MANAGE);
static_assert(security::kScopeCount == pb::SCOPE_MANAGE);

template <typename Message>
Message Number(int number) {
  return static_cast<Message>(number + 1);
}

template <typename Scopes>
ScopeSet ReadScopes(const Scopes& scopes, const std::string& field, Violations* violations) {
  if (scopes.empty()) return ScopeSet::All();
  ScopeSet set = ScopeSet::None();
  for (const int scope : scopes) {
    if (scope > pb::SCOPE_UNSPECIFIED && scope <= pb::SCOPE_MANAGE) {
      set.Add(static_cast<Scope>(scope - 1));
    } else {
      violations->Add(field, absl::StrCat("not a scope, ", scope));
    }
  }
  return set;
}

pb::Principal Show(PrincipalKind kind, const std::string& id, Role role, ScopeSet scopes,
                   const std::vector<std::string>& devices) {
  pb::Principal out;
  out.set_kind(Number<pb::PrincipalKind>(static_cast<int>(kind)));
  out.set_id(id);
  out.set_role(Number<pb::Role>(static_cast<int>(role)));
  for (int i = 0; i < security::kScopeCount; ++i) {
    if (scopes.Has(static_cast<Scope>(i))) out.add_scopes(Number<pb::Scope>(i));
  }
  for (const std::string& device : devices) out.add_devices(device);
  return out;
}

}  // namespace

pb::Principal ToProto(const security::Principal& principal) {
  return Show(principal.kind, principal.id, principal.role, principal.scopes, principal.devices);
}

pb::ApiKeyState StateOf(const security::ApiKeyRecord& record, absl::Time now) {
  if (record.revoked != absl::InfiniteFuture()) return pb::API_KEY_STATE_REVOKED;
  return record.expires <= now ? pb::API_KEY_STATE_EXPIRED : pb::API_KEY_STATE_ACTIVE;
}

pb::ApiKey ToProto(const security::ApiKeyRecord& record, absl::Time now) {
  pb::ApiKey out;
  out.set_key_id(record.key_id);
  *out.mutable_principal() =
      Show(record.kind, record.owner, record.role, record.scopes, record.devices);
  out.set_state(StateOf(record, now));
  out.set_note(record.note);
  *out.mutable_created_at() = ToProto(record.created);
  if (record.expires != absl::InfiniteFuture()) {
    *out.mutable_expires_at() = ToProto(record.expires);
  }
  if (record.last_used != absl::InfinitePast()) {
    *out.mutable_last_used_at() = ToProto(record.last_used);
  }
  if (record.revoked != absl::InfiniteFuture()) {
    *out.mutable_revoked_at() = ToProto(record.revoked);
  }
  out.set_replaces(record.replaces);
  return out;
}

pb::User ToProto(const security::UserRecord& record) {
  pb::User out;
  *out.mutable_principal() =
      Show(record.kind, record.name, record.role, record.scopes, record.devices);
  out.set_disabled(record.disabled);
  *out.mutable_created_at() = ToProto(record.created);
  return out;
}

pb::AuditEntry ToProto(const security::AuditEntry& entry) {
  pb::AuditEntry out;
  out.set_sequence(entry.sequence);
  *out.mutable_time() = ToProto(entry.time);
  out.set_who(entry.record.who);
  out.set_what(entry.record.what);
  out.set_subject(entry.record.subject);
  out.set_from(entry.record.from);
  out.set_result(entry.record.result);
  return out;
}

security::Principal ReadPrincipal(const pb::Principal& message, std::string_view field,
                                  Violations* violations) {
  const std::string prefix = absl::StrCat(AbslView(field), ".");
  security::Principal principal;
  if (message.kind() <= pb::PRINCIPAL_KIND_UNSPECIFIED ||
      message.kind() >= pb::PRINCIPAL_KIND_LOCAL_PEER) {
    violations->Add(prefix + "kind", "expected DEVICE, USER or TOOL");
  } else {
    principal.kind = static_cast<PrincipalKind>(message.kind() - 1);
  }
  if (message.role() <= pb::ROLE_UNSPECIFIED || message.role() > pb::ROLE_ADMIN) {
    violations->Add(prefix + "role", "expected DEVICE, VIEWER, OPERATOR or ADMIN");
  } else {
    principal.role = static_cast<Role>(message.role() - 1);
  }
  principal.id = message.id();
  principal.scopes = ReadScopes(message.scopes(), prefix + "scopes", violations);
  principal.devices.assign(message.devices().begin(), message.devices().end());
  if (!violations->empty()) return principal;
  const absl::Status good = security::CheckPrincipal(principal);
  if (!good.ok()) violations->Add(std::string(field), std::string(good.message()));
  return principal;
}

std::string Grant(const security::Principal& principal) {
  std::string out = absl::StrCat(
      AbslView(security::PrincipalKindName(principal.kind)), " ", principal.id, ", role ",
      AbslView(security::RoleName(principal.role)), ", scopes ",
      principal.scopes == ScopeSet::All() ? "all" : security::ScopeNames(principal.scopes));
  if (!principal.devices.empty()) {
    absl::StrAppend(&out, ", speaks for ", absl::StrJoin(principal.devices, " "));
  }
  return out;
}

}  // namespace viaduct::rpc
