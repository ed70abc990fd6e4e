#include "core/security/principal.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/message/identity.h"
#include "core/message/json_scanner.h"

namespace viaduct::security {
namespace {

constexpr std::array<std::string_view, 4> kKinds = {"device", "user", "tool", "local peer"};
constexpr std::array<std::string_view, 4> kRoles = {"device", "viewer", "operator", "admin"};
constexpr std::array<std::string_view, 8> kProofs = {
    "api key", "token", "password", "certificate", "unix peer", "broker", "in house", "login"};
constexpr std::array<std::string_view, kScopeCount> kScopes = {"ingest", "read",    "files",
                                                               "edit",   "control", "manage"};

template <size_t kCount>
std::string_view NameIn(const std::array<std::string_view, kCount>& names, size_t index) {
  return index < kCount ? names[index] : std::string_view("unknown");
}

bool Fits(std::string_view pattern, std::string_view device) {
  if (pattern.empty() || pattern.back() != '*') return pattern == device;
  pattern.remove_suffix(1);
  return device.substr(0, pattern.size()) == pattern;
}

std::shared_ptr<const Principal> InHouse(std::string id) {
  auto principal = std::make_shared<Principal>();
  principal->kind = PrincipalKind::kTool;
  principal->id = std::move(id);
  principal->role = Role::kAdmin;
  principal->proof = Proof::kInHouse;
  return principal;
}

}  // namespace

std::string_view PrincipalKindName(PrincipalKind kind) {
  return NameIn(kKinds, static_cast<size_t>(kind));
}
std::string_view RoleName(Role role) { return NameIn(kRoles, static_cast<size_t>(role)); }
std::string_view ProofName(Proof proof) { return NameIn(kProofs, static_cast<size_t>(proof)); }
std::string_view ScopeName(Scope scope) { return NameIn(kScopes, static_cast<size_t>(scope)); }

absl::StatusOr<Role> ParseRole(std::string_view name) {
  for (size_t i = 0; i < kRoles.size(); ++i) {
    if (kRoles[i] == name) return static_cast<Role>(i);
  }
  return absl::InvalidArgumentError(absl::StrCat("role: there is none called ", ShownText(name),
                                                 ", want viewer, operator, admin or device"));
}

absl::StatusOr<ScopeSet> ParseScopes(std::string_view words) {
  ScopeSet scopes = ScopeSet::None();
  for (const absl::string_view word :
       absl::StrSplit(AbslView(words), absl::ByAnyChar(" ,"), absl::SkipEmpty())) {
    bool known = false;
    for (size_t i = 0; i < kScopes.size(); ++i) {
      if (kScopes[i] != StdView(word)) continue;
      scopes.Add(static_cast<Scope>(i));
      known = true;
    }
    if (!known) {
      return absl::InvalidArgumentError(
          absl::StrCat("scope: there is none called ", ShownText(StdView(word))));
    }
  }
  return scopes;
}

std::string ScopeNames(ScopeSet scopes) {
  std::string out;
  for (int i = 0; i < kScopeCount; ++i) {
    const auto scope = static_cast<Scope>(i);
    if (scopes.Has(scope))
      absl::StrAppend(&out, out.empty() ? "" : " ", AbslView(ScopeName(scope)));
  }
  return out;
}

bool Principal::SpeaksFor(std::string_view device) const {
  if (!CheckIdentifier(device, kMaxPrincipalIdBytes).ok()) return false;
  if (kind == PrincipalKind::kDevice && id == device) return true;
  for (const std::string& pattern : devices) {
    if (Fits(pattern, device)) return true;
  }
  return false;
}

std::string Principal::Describe() const {
  std::string out =
      absl::StrCat(AbslView(PrincipalKindName(kind)), " ", id, " (", AbslView(ProofName(proof)));
  if (!proof_id.empty()) absl::StrAppend(&out, " ", proof_id);
  return out + ")";
}

std::shared_ptr<const Principal> NodeItself() {
  static const auto* const principal = new auto(InHouse("this node"));
  return *principal;
}

std::shared_ptr<const Principal> OwnServer() {
  static const auto* const principal = new auto(InHouse("own server"));
  return *principal;
}

absl::Status CheckPrincipal(const Principal& principal) {
  const absl::Status id = CheckIdentifier(principal.id, kMaxPrincipalIdBytes);
  if (!id.ok()) return absl::InvalidArgumentError(absl::StrCat("principal: id ", id.message()));
  if (principal.devices.size() > kMaxDevicePatterns) {
    return absl::InvalidArgumentError(
        absl::StrCat("principal: speaks for more than ", kMaxDevicePatterns, " devices"));
  }
  for (const std::string& pattern : principal.devices) {
    const absl::Status good = CheckIdentifier(pattern, kMaxPrincipalIdBytes);
    if (!good.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("principal: device ", good.message()));
    }
  }
  const bool is_device = principal.kind == PrincipalKind::kDevice;
  if (is_device != (principal.role == Role::kDevice)) {
    return absl::InvalidArgumentError("principal: a device has the role device, nobody else does");
  }
  if (!is_device && !principal.devices.empty()) {
    return absl::InvalidArgumentError("principal: only a device speaks for devices");
  }
  return absl::OkStatus();
}

}  // namespace viaduct::security
