// From the credentials that a listener found to a principal, or to "not accepted". Listeners
// extract, this decides; nothing else in the house looks at a credential.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/message/exchange.h"
#include "core/security/api_key_store.h"
#include "core/security/jwt.h"
#include "core/security/logins.h"
#include "core/security/principal.h"
#include "core/security/user_store.h"

namespace viaduct::security {

// Names of the credentials that a listener may hand over (Peer::credentials).
//
//   api_key                 the key
//   bearer                  a token, or an API key
//   basic                   base64(name ":" password), as in HTTP; the password may be an API key
//   user, password          the same apart
//   session                 what Logins gave a browser, which shows it by itself (a cookie)
//   certificate_sha256      64 hexadecimal digits of the peer's certificate, whose chain and key
//   the certificate_subject     listener has checked; its subject as RFC 2253 writes it; its
//   alternative certificate_san         names, "DNS:cam1.site", "URI:urn:...", each in an attribute
//   of its own uid                     of the process at the other end of the node's own socket

// Which certificates are whose. A fingerprint counts before a name, a name before a subject.
struct CertificateRule {
  enum class Match : uint8_t { kSha256, kSan, kSubject };
  Match match = Match::kSan;
  std::string value;  // Compared as a whole.
  PrincipalKind kind = PrincipalKind::kDevice;
  std::string id;
  Role role = Role::kDevice;
  ScopeSet scopes = ScopeSet::All();
  std::vector<std::string> devices;
};

struct UnixPeerRule {
  uid_t uid = 0;
  Role role = Role::kAdmin;  // Not kDevice.
};

// What there is to check with; null: no such credential is accepted.
struct AuthenticatorParts {
  ApiKeyStore* api_keys = nullptr;
  UserStore* users = nullptr;
  const JwtVerifier* tokens = nullptr;
  Logins* logins = nullptr;
  std::vector<CertificateRule> certificates;
  // Certificates of `viaductctl pki device`, with the name URI:urn:viaduct:device:<id>, are the
  // device's. Only for authorities that sign for nobody else.
  bool device_certificates = false;
  std::vector<UnixPeerRule> unix_peers;  // A user that is not named is nobody.
};

struct Authentication {
  // UNAUTHENTICATED "credentials: missing" or "credentials: not accepted"; RESOURCE_EXHAUSTED.
  absl::StatusOr<Principal> principal = absl::UnauthenticatedError("credentials: missing");
  std::string why;  // For the audit: what was tried and why it failed. No secret.
};

// Thread-safe.
class Authenticator {
 public:
  static constexpr size_t kMaxCredentials = 64;
  static constexpr size_t kMaxCredentialBytes = 16'384;  // All of them.
  static constexpr size_t kMaxRules = 4'096;

  // INVALID_ARGUMENT names the rule that can not be.
  static absl::StatusOr<Authenticator> Create(AuthenticatorParts parts);

  // What a peer says (key, token, password) goes before what its browser says by itself (session),
  // and that before what its connection shows (certificate, user of a process); when it says two
  // things, none is accepted: which one counted would depend on who looks.
  Authentication Authenticate(const Peer& peer) const;

  // True: it costs a password check, see UserStore::Check. Decide where to call by this.
  static bool TakesLong(const Peer& peer);

 private:
  struct Found;
  explicit Authenticator(AuthenticatorParts parts) : parts_(std::move(parts)) {}
  static Found Sort(const Peer& peer);
  absl::StatusOr<Principal> FromSaid(const Found& found, std::string* why) const;
  absl::StatusOr<Principal> FromSession(std::string_view token, std::string* why) const;
  absl::StatusOr<Principal> FromBearer(std::string_view text, std::string* why) const;
  absl::StatusOr<Principal> FromKey(std::string_view key, std::string* why) const;
  absl::StatusOr<Principal> FromPassword(std::string_view name, std::string_view password,
                                         std::string* why) const;
  absl::StatusOr<Principal> FromCertificate(const Found& found, std::string* why) const;
  absl::StatusOr<Principal> FromUnixPeer(std::string_view uid, std::string* why) const;

  AuthenticatorParts parts_;
};

}  // namespace viaduct::security
