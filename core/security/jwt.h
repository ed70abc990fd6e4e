// JSON Web Tokens (RFC 7519) as bearer tokens, checked by libjwt behind rules of our own: what a
// token says of itself never decides how it is checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/security/principal.h"
#include "core/security/token_cache.h"

namespace viaduct::security {

enum class JwtAlgorithm : uint8_t { kHs256, kRs256, kEs256 };

struct JwtKey {
  std::string kid;  // "" only where it is the one key.
  JwtAlgorithm algorithm = JwtAlgorithm::kEs256;
  // HS256: the secret, at least 32 octets. RS256, ES256: a public key in PEM, RSA of 2048 to 8192
  // bits or of the curve P-256.
  std::string key;
};

struct JwtOptions {
  std::vector<JwtKey> keys;                       // Several while keys are changed; 1 to kMaxKeys.
  std::string issuer;                             // `iss` must be this.
  std::string audience;                           // `aud` must be this, or a list with it.
  absl::Duration leeway = absl::Seconds(30);      // For clocks that differ, at most 5 minutes.
  absl::Duration max_lifetime = absl::Hours(24);  // From `iat` to `exp`.
};

// Thread-safe. A token that was verified is remembered until it expires; other keys are another
// verifier.
//
// Taken as it is: {"sub": "CAM001", "role": "device"} with `iss`, `aud`, `iat` and `exp`, which are
// required; `nbf`, `scope` ("ingest files", what is no scope of ours is looked past; absent: all of
// the role), `kind` ("user" or "tool", for roles but device) and `devices` (list) may be there.
class JwtVerifier {
 public:
  static constexpr size_t kMaxKeys = 16;
  static constexpr size_t kMaxTokenBytes = 8'192;
  static constexpr int kMaxDepth = 8;
  static constexpr size_t kMaxMembers = 64;
  static constexpr size_t kMaxAudiences = 16;

  // INVALID_ARGUMENT: a key that does not fit its algorithm or is too weak, two of one kid, or no
  // issuer or audience.
  static absl::StatusOr<std::unique_ptr<JwtVerifier>> Create(JwtOptions options,
                                                             const Clock* clock);
  ~JwtVerifier();

  // UNAUTHENTICATED in the same words for every reason; `why` is for the audit and shows nothing of
  // the signature.
  absl::StatusOr<Principal> Check(std::string_view token, std::string* why) const;

 private:
  struct Token;
  JwtVerifier(JwtOptions options, const Clock* clock);
  absl::Status Verify(std::string_view token, VerifiedToken* verified) const;
  absl::StatusOr<const JwtKey*> KeyFor(std::string_view kid, bool has_kid) const;

  const JwtOptions options_;
  const Clock* const clock_;
  mutable TokenCache verified_;
};

}  // namespace viaduct::security
