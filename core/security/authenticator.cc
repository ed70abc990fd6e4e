#include "core/security/authenticator.h"

#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/message/identity.h"
#include "core/message/json_scanner.h"
#include "core/security/api_key.h"
#include "core/security/secret_octets.h"
#include "core/security/urn.h"

namespace viaduct::security {
namespace {

constexpr size_t kFingerprintChars = 64;

absl::Status Refused() { return absl::UnauthenticatedError("credentials: not accepted"); }

bool IsFingerprint(std::string_view text) {
  return text.size() == kFingerprintChars &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Principal PrincipalOf(const CertificateRule& rule, std::string_view fingerprint) {
  Principal principal;
  principal.kind = rule.kind;
  principal.id = rule.id;
  principal.role = rule.role;
  principal.scopes = rule.scopes;
  principal.devices = rule.devices;
  principal.proof = Proof::kCertificate;
  principal.proof_id = std::string(fingerprint.substr(0, kFingerprintChars));
  return principal;
}

absl::Status CheckRule(const CertificateRule& rule) {
  VD_RETURN_IF_ERROR(CheckPrincipal(PrincipalOf(rule, "")));
  if (rule.kind == PrincipalKind::kLocalPeer || rule.value.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("certificate rule of ", ShownText(rule.id), ": no value, or no such kind"));
  }
  if (rule.match == CertificateRule::Match::kSha256 && !IsFingerprint(rule.value)) {
    return absl::InvalidArgumentError(absl::StrCat("certificate rule of ", ShownText(rule.id),
                                                   ": want 64 hexadecimal digits in lower case"));
  }
  return absl::OkStatus();
}

bool SplitBasic(std::string_view encoded, std::string* name, std::string* password) {
  std::string text;
  if (!DecodeBase64(encoded, &text)) return false;
  const size_t colon = text.find(':');
  const bool good = colon != std::string::npos;
  if (good) {
    *name = text.substr(0, colon);
    *password = text.substr(colon + 1);
  }
  Wipe(&text);
  return good;
}

}  // namespace

// The credentials of one peer by kind, each once.
struct Authenticator::Found {
  std::optional<std::string_view> api_key, bearer, basic, user, password, session, uid;
  std::string_view fingerprint, subject;
  std::vector<std::string_view> sans;
  bool contradicts = false;  // Itself, or is too much.

  int said() const {
    return int{api_key.has_value()} + int{bearer.has_value()} + int{basic.has_value()} +
           int{user.has_value() || password.has_value()};
  }
  void Set(std::optional<std::string_view>* slot, std::string_view value) {
    if (slot->has_value() && **slot != value) contradicts = true;
    *slot = value;
  }
  void Set(std::string_view* slot, std::string_view value) {
    if (!slot->empty() && *slot != value) contradicts = true;
    *slot = value;
  }
  // A name that means nothing here is looked past: it proves nothing.
  void Add(std::string_view name, std::string_view value) {
    if (name == "api_key") Set(&api_key, value);
    if (name == "bearer") Set(&bearer, value);
    if (name == "basic") Set(&basic, value);
    if (name == "user") Set(&user, value);
    if (name == "password") Set(&password, value);
    if (name == "session") Set(&session, value);
    if (name == "uid") Set(&uid, value);
    if (name == "certificate_sha256") Set(&fingerprint, value);
    if (name == "certificate_subject") Set(&subject, value);
    if (name == "certificate_san") sans.push_back(value);
  }
};

absl::StatusOr<Authenticator> Authenticator::Create(AuthenticatorParts parts) {
  if (parts.certificates.size() > kMaxRules || parts.unix_peers.size() > kMaxRules) {
    return absl::InvalidArgumentError(
        absl::StrCat("authenticator: more than ", kMaxRules, " rules"));
  }
  for (const CertificateRule& rule : parts.certificates) VD_RETURN_IF_ERROR(CheckRule(rule));
  for (const UnixPeerRule& rule : parts.unix_peers) {
    if (rule.role == Role::kDevice) {
      return absl::InvalidArgumentError("unix peer: a user of this machine is no device");
    }
  }
  return Authenticator(std::move(parts));
}

Authenticator::Found Authenticator::Sort(const Peer& peer) {
  Found found;
  size_t bytes = 0;
  for (const auto& [name, value] : peer.credentials) {
    bytes += name.size() + value.size();
    found.Add(name, value);
  }
  // No plugin knows the user of a process: only the node's own listeners do.
  if (!peer.instance.empty()) found.uid.reset();
  if (peer.credentials.size() > kMaxCredentials || bytes > kMaxCredentialBytes) {
    found.contradicts = true;
  }
  return found;
}

bool Authenticator::TakesLong(const Peer& peer) {
  const Found found = Sort(peer);
  if (found.contradicts || found.said() != 1) return false;
  if (found.password.has_value()) return !LooksLikeApiKey(*found.password);
  std::string name;
  std::string password;
  if (!found.basic.has_value() || !SplitBasic(*found.basic, &name, &password)) return false;
  const bool is_key = LooksLikeApiKey(password);
  Wipe(&password);
  return !is_key;
}

Authentication Authenticator::Authenticate(const Peer& peer) const {
  Authentication result;
  const Found found = Sort(peer);
  if (found.contradicts || found.said() > 1) {
    result.why = "credentials that contradict each other, or too many";
    result.principal = Refused();
  } else if (found.said() == 1) {
    result.principal = FromSaid(found, &result.why);
  } else if (found.session.has_value()) {
    result.principal = FromSession(*found.session, &result.why);
  } else if (!found.fingerprint.empty()) {
    result.principal = FromCertificate(found, &result.why);
  } else if (found.uid.has_value()) {
    result.principal = FromUnixPeer(*found.uid, &result.why);
  } else {
    result.why = "no credentials";
  }
  return result;
}

absl::StatusOr<Principal> Authenticator::FromSaid(const Found& found, std::string* why) const {
  if (found.api_key.has_value()) return FromKey(*found.api_key, why);
  if (found.bearer.has_value()) return FromBearer(*found.bearer, why);
  if (!found.basic.has_value()) {
    return FromPassword(found.user.value_or(""), found.password.value_or(""), why);
  }
  std::string name;
  std::string password;
  if (!SplitBasic(*found.basic, &name, &password)) {
    *why = "basic: not base64 of name and password";
    return Refused();
  }
  absl::StatusOr<Principal> principal = FromPassword(name, password, why);
  Wipe(&password);
  return principal;
}

absl::StatusOr<Principal> Authenticator::FromSession(std::string_view token,
                                                     std::string* why) const {
  if (parts_.logins != nullptr) return parts_.logins->Check(token, why);
  *why = "login: none are accepted here";
  return Refused();
}

absl::StatusOr<Principal> Authenticator::FromBearer(std::string_view text, std::string* why) const {
  if (LooksLikeApiKey(text)) return FromKey(text, why);
  if (parts_.tokens != nullptr) return parts_.tokens->Check(text, why);
  *why = "token: none are accepted here";
  return Refused();
}

absl::StatusOr<Principal> Authenticator::FromKey(std::string_view key, std::string* why) const {
  if (parts_.api_keys != nullptr) return parts_.api_keys->Check(key, why);
  *why = "api key: none are accepted here";
  return Refused();
}

// Clients that know only name and password (MQTT, cameras) give their key as the password. Then the
// name must be the key's owner: a mix-up of two devices shows at once.
absl::StatusOr<Principal> Authenticator::FromPassword(std::string_view name,
                                                      std::string_view password,
                                                      std::string* why) const {
  if (LooksLikeApiKey(password)) {
    absl::StatusOr<Principal> principal = FromKey(password, why);
    if (!principal.ok() || principal->id == name) return principal;
    absl::StrAppend(why, ": of another owner than the name ", ShownText(name));
    return Refused();
  }
  if (parts_.users != nullptr) return parts_.users->Check(name, password, why);
  *why = "password: none are accepted here";
  return Refused();
}

absl::StatusOr<Principal> Authenticator::FromCertificate(const Found& found,
                                                         std::string* why) const {
  const auto fits = [&](const CertificateRule& rule) {
    if (rule.match == CertificateRule::Match::kSha256) return rule.value == found.fingerprint;
    if (rule.match == CertificateRule::Match::kSubject) return rule.value == found.subject;
    for (const std::string_view san : found.sans) {
      if (rule.value == san) return true;
    }
    return false;
  };
  *why = absl::StrCat("certificate ", ShownText(found.fingerprint, kFingerprintChars));
  for (const auto match : {CertificateRule::Match::kSha256, CertificateRule::Match::kSan,
                           CertificateRule::Match::kSubject}) {
    for (const CertificateRule& rule : parts_.certificates) {
      if (rule.match == match && fits(rule)) return PrincipalOf(rule, found.fingerprint);
    }
  }
  for (const std::string_view san : found.sans) {
    CertificateRule device;
    absl::string_view urn = AbslView(san);
    if (!parts_.device_certificates || !absl::ConsumePrefix(&urn, "URI:") ||
        !absl::ConsumePrefix(&urn, AbslView(kDeviceUrn))) {
      continue;
    }
    if (!IdOfUrn(StdView(urn), &device.id)) break;
    Principal principal = PrincipalOf(device, found.fingerprint);
    if (CheckPrincipal(principal).ok()) return principal;
  }
  absl::StrAppend(why, ": of nobody known");
  return Refused();
}

absl::StatusOr<Principal> Authenticator::FromUnixPeer(std::string_view uid,
                                                      std::string* why) const {
  uint32_t number = 0;
  *why = absl::StrCat("unix peer uid ", ShownText(uid));
  if (absl::SimpleAtoi(AbslView(uid), &number)) {
    for (const UnixPeerRule& rule : parts_.unix_peers) {
      if (rule.uid != number) continue;
      Principal principal;
      principal.kind = PrincipalKind::kLocalPeer;
      principal.id = absl::StrCat("uid ", number);
      principal.role = rule.role;
      principal.proof = Proof::kUnixPeer;
      return principal;
    }
  }
  absl::StrAppend(why, ": of nobody known");
  return Refused();
}

}  // namespace viaduct::security
