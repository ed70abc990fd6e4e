#include "core/security/jwt.h"

#include <jwt.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/message/json_scanner.h"
#include "core/security/secret_octets.h"

namespace viaduct::security {
namespace {

constexpr absl::Duration kMaxLeeway = absl::Minutes(5);
constexpr size_t kMaxKeyBytes = 16'384;
constexpr int kMinRsaBits = 2'048;
constexpr int kMaxRsaBits = 8'192;
constexpr double kMaxUnixSeconds = 253'402'300'799;  // The end of the year 9999.

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct FreeJwt {
  void operator()(jwt_t* jwt) const { jwt_free(jwt); }
};

std::string_view AlgorithmName(JwtAlgorithm algorithm) {
  constexpr std::array<std::string_view, 3> kNames = {"HS256", "RS256", "ES256"};
  return kNames[static_cast<size_t>(algorithm)];
}

jwt_alg_t LibraryAlgorithm(JwtAlgorithm algorithm) {
  constexpr std::array<jwt_alg_t, 3> kAlgorithms = {JWT_ALG_HS256, JWT_ALG_RS256, JWT_ALG_ES256};
  return kAlgorithms[static_cast<size_t>(algorithm)];
}

// A password prompt of the library's would wait for a terminal.
int NoPassword(char*, int, int, void*) { return 0; }

absl::Status CheckPublicKey(const JwtKey& key) {
  const std::string name = ShownText(key.kid);
  const std::unique_ptr<BIO, FreeBio> bio(
      BIO_new_mem_buf(key.key.data(), static_cast<int>(key.key.size())));
  const std::unique_ptr<EVP_PKEY, FreeKey> parsed(
      PEM_read_bio_PUBKEY(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  if (parsed == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("jwt: key ", name, " is no public key in PEM"));
  }
  if (key.algorithm == JwtAlgorithm::kRs256) {
    const int bits = EVP_PKEY_get_bits(parsed.get());
    if (EVP_PKEY_is_a(parsed.get(), "RSA") == 1 && bits >= kMinRsaBits && bits <= kMaxRsaBits) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(absl::StrCat("jwt: key ", name, " is not RSA of ",
                                                   kMinRsaBits, " to ", kMaxRsaBits, " bits"));
  }
  std::array<char, 64> curve{};
  size_t size = 0;
  const bool named = EVP_PKEY_is_a(parsed.get(), "EC") == 1 &&
                     EVP_PKEY_get_utf8_string_param(parsed.get(), OSSL_PKEY_PARAM_GROUP_NAME,
                                                    curve.data(), curve.size(), &size) == 1;
  if (named && std::string_view(curve.data(), size) == "prime256v1") return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("jwt: key ", name, " is not of the curve P-256"));
}

absl::Status CheckKey(const JwtKey& key) {
  if (key.key.size() > kMaxKeyBytes || key.kid.size() > kMaxPrincipalIdBytes) {
    return absl::InvalidArgumentError("jwt: a key or its kid is too long");
  }
  if (key.algorithm != JwtAlgorithm::kHs256) return CheckPublicKey(key);
  if (key.key.size() < kSecretBytes) {
    return absl::InvalidArgumentError(absl::StrCat("jwt: secret ", ShownText(key.kid),
                                                   " is shorter than ", kSecretBytes, " octets"));
  }
  // Whoever has the public key could sign.
  if (absl::StrContains(key.key, "-----BEGIN")) {
    return absl::InvalidArgumentError(
        absl::StrCat("jwt: secret ", ShownText(key.kid), " is a key in PEM"));
  }
  return absl::OkStatus();
}

absl::Status CheckOptions(const JwtOptions& options) {
  if (options.keys.empty() || options.keys.size() > JwtVerifier::kMaxKeys) {
    return absl::InvalidArgumentError(
        absl::StrCat("jwt: want 1 to ", JwtVerifier::kMaxKeys, " keys"));
  }
  if (options.issuer.empty() || options.audience.empty()) {
    return absl::InvalidArgumentError("jwt: issuer and audience are required");
  }
  if (options.leeway < absl::ZeroDuration() || options.leeway > kMaxLeeway) {
    return absl::InvalidArgumentError("jwt: leeway is not between 0 and 5 minutes");
  }
  for (size_t i = 0; i < options.keys.size(); ++i) {
    VD_RETURN_IF_ERROR(CheckKey(options.keys[i]));
    if (options.keys[i].kid.empty() && options.keys.size() > 1) {
      return absl::InvalidArgumentError("jwt: of several keys each needs a kid");
    }
    for (size_t j = 0; j < i; ++j) {
      if (options.keys[i].kid != options.keys[j].kid) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("jwt: two keys with the kid ", ShownText(options.keys[i].kid)));
    }
  }
  return absl::OkStatus();
}

absl::Status No(std::string_view what) { return absl::UnauthenticatedError(AbslView(what)); }

// The members of an object, each name once. Nothing of it is kept but slices of `json`.
class Claims {
 public:
  absl::Status Read(std::string_view json) {
    JsonScanLimits limits;
    limits.max_bytes = JwtVerifier::kMaxTokenBytes;
    limits.max_depth = JwtVerifier::kMaxDepth;
    limits.max_members = JwtVerifier::kMaxMembers;
    const absl::Status status = JsonScanner(json, limits).ScanObject(&members_);
    return status.ok() ? status : No("no JSON object");
  }

  const JsonSlice* Find(std::string_view name) const {
    for (const JsonMember& member : members_) {
      if (member.key == name) return &member.value;
    }
    return nullptr;
  }

  absl::Status Text(std::string_view name, std::string* out) const {
    const JsonSlice* value = Find(name);
    if (value == nullptr) return No(absl::StrCat(AbslView(name), ": missing"));
    if (value->type != JsonType::kString) return No(absl::StrCat(AbslView(name), ": no text"));
    *out = DecodeJsonString(value->text);
    return absl::OkStatus();
  }

  absl::Status Time(std::string_view name, absl::Time* out) const {
    const JsonSlice* value = Find(name);
    double seconds = 0;
    if (value == nullptr) return No(absl::StrCat(AbslView(name), ": missing"));
    if (value->type != JsonType::kNumber || !absl::SimpleAtod(AbslView(value->text), &seconds) ||
        !(seconds >= 0) || seconds > kMaxUnixSeconds) {
      return No(absl::StrCat(AbslView(name), ": no time"));
    }
    *out = absl::UnixEpoch() + absl::Seconds(seconds);
    return absl::OkStatus();
  }

  // A text, or a list of texts.
  absl::Status Texts(std::string_view name, size_t max_count, std::vector<std::string>* out) const {
    const JsonSlice* value = Find(name);
    if (value == nullptr) return No(absl::StrCat(AbslView(name), ": missing"));
    if (value->type == JsonType::kString) {
      out->push_back(DecodeJsonString(value->text));
      return absl::OkStatus();
    }
    std::vector<JsonElement> elements;
    if (value->type != JsonType::kArray ||
        !JsonScanner(value->text, {}).ScanArray(max_count, &elements).ok()) {
      return No(absl::StrCat(AbslView(name), ": no list of texts, or too long"));
    }
    for (const JsonElement& element : elements) {
      if (element.value.type != JsonType::kString) {
        return No(absl::StrCat(AbslView(name), ": no list of texts"));
      }
      out->push_back(DecodeJsonString(element.value.text));
    }
    return absl::OkStatus();
  }

 private:
  std::vector<JsonMember> members_;
};

absl::Status CheckTimes(const Claims& claims, const JwtOptions& options, absl::Time now,
                        VerifiedToken* verified) {
  absl::Time issued;
  absl::Time expires;
  absl::Time begins = absl::InfinitePast();
  VD_RETURN_IF_ERROR(claims.Time("exp", &expires));
  VD_RETURN_IF_ERROR(claims.Time("iat", &issued));
  if (claims.Find("nbf") != nullptr) VD_RETURN_IF_ERROR(claims.Time("nbf", &begins));
  verified->from = std::max(issued, begins) - options.leeway;
  verified->until = expires + options.leeway;
  verified->principal.expires = expires;
  if (now >= verified->until) return No("expired");
  if (issued > now + options.leeway) return No("issued in the future");
  if (expires - issued > options.max_lifetime) return No("holds for too long");
  return begins > now + options.leeway ? No("does not hold yet") : absl::OkStatus();
}

absl::Status CheckParties(const Claims& claims, const JwtOptions& options) {
  std::string issuer;
  std::vector<std::string> audiences;
  VD_RETURN_IF_ERROR(claims.Text("iss", &issuer));
  VD_RETURN_IF_ERROR(claims.Texts("aud", JwtVerifier::kMaxAudiences, &audiences));
  if (issuer != options.issuer) return No("another issuer");
  for (const std::string& audience : audiences) {
    if (audience == options.audience) return absl::OkStatus();
  }
  return No("another audience");
}

// Scopes of other services stand beside ours; only ours count.
absl::Status ReadScopes(const Claims& claims, ScopeSet* scopes) {
  if (claims.Find("scope") == nullptr) return absl::OkStatus();
  std::string text;
  VD_RETURN_IF_ERROR(claims.Text("scope", &text));
  *scopes = ScopeSet::None();
  for (const absl::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    const absl::StatusOr<ScopeSet> one = ParseScopes(StdView(word));
    if (one.ok()) *scopes = ScopeSet::FromBits(scopes->bits() | one->bits());
  }
  return absl::OkStatus();
}

absl::Status ReadPrincipal(const Claims& claims, Principal* principal) {
  std::string role;
  VD_RETURN_IF_ERROR(claims.Text("sub", &principal->id));
  VD_RETURN_IF_ERROR(claims.Text("role", &role));
  const absl::StatusOr<Role> known = ParseRole(role);
  if (!known.ok()) return No("role: unknown");
  principal->role = *known;
  principal->kind = *known == Role::kDevice ? PrincipalKind::kDevice : PrincipalKind::kUser;
  if (claims.Find("kind") != nullptr && principal->kind == PrincipalKind::kUser) {
    std::string kind;
    VD_RETURN_IF_ERROR(claims.Text("kind", &kind));
    if (kind != "user" && kind != "tool") return No("kind: unknown");
    if (kind == "tool") principal->kind = PrincipalKind::kTool;
  }
  if (claims.Find("devices") != nullptr) {
    VD_RETURN_IF_ERROR(claims.Texts("devices", kMaxDevicePatterns, &principal->devices));
  }
  VD_RETURN_IF_ERROR(ReadScopes(claims, &principal->scopes));
  const absl::Status good = CheckPrincipal(*principal);
  return good.ok() ? good : No(StdView(good.message()));
}

}  // namespace

// Header and claims of "a.b.c", decoded; the signature only as far as that it is one.
struct JwtVerifier::Token {
  std::string header;
  std::string claims;

  absl::Status Split(std::string_view text) {
    if (text.size() > kMaxTokenBytes) return No("too long");
    const std::vector<absl::string_view> parts = absl::StrSplit(AbslView(text), '.');
    if (parts.size() != 3) return No("not of three parts");
    std::string signature;
    if (!DecodeBase64Url(StdView(parts[0]), &header) ||
        !DecodeBase64Url(StdView(parts[1]), &claims) ||
        !DecodeBase64Url(StdView(parts[2]), &signature)) {
      return No("no base64url");
    }
    return absl::OkStatus();
  }
};

JwtVerifier::JwtVerifier(JwtOptions options, const Clock* clock)
    : options_(std::move(options)), clock_(clock) {}

JwtVerifier::~JwtVerifier() = default;

absl::StatusOr<std::unique_ptr<JwtVerifier>> JwtVerifier::Create(JwtOptions options,
                                                                 const Clock* clock) {
  VD_RETURN_IF_ERROR(CheckOptions(options));
  return std::unique_ptr<JwtVerifier>(new JwtVerifier(std::move(options), clock));
}

absl::StatusOr<const JwtKey*> JwtVerifier::KeyFor(std::string_view kid, bool has_kid) const {
  if (!has_kid && options_.keys.size() == 1) return &options_.keys.front();
  for (const JwtKey& key : options_.keys) {
    if (has_kid && key.kid == kid && !kid.empty()) return &key;
  }
  return No(has_kid ? "kid: unknown" : "kid: missing");
}

namespace {

absl::Status CheckHeader(const Claims& header, const JwtKey& key) {
  std::string algorithm;
  VD_RETURN_IF_ERROR(header.Text("alg", &algorithm));
  // The key says how it is used; a token that wants it otherwise is an attack or a mistake.
  if (algorithm != AlgorithmName(key.algorithm)) return No("alg: not that of the key");
  if (header.Find("crit") != nullptr) return No("crit: nothing is understood");
  if (header.Find("typ") == nullptr) return absl::OkStatus();
  std::string type;
  VD_RETURN_IF_ERROR(header.Text("typ", &type));
  const bool known = absl::EqualsIgnoreCase(type, "JWT") || absl::EqualsIgnoreCase(type, "at+jwt");
  return known ? absl::OkStatus() : No("typ: no JWT");
}

absl::Status CheckSignature(const JwtKey& key, std::string_view token) {
  const std::string text(token);
  jwt_t* raw = nullptr;
  const int code =
      jwt_decode(&raw, text.c_str(), reinterpret_cast<const unsigned char*>(key.key.data()),
                 static_cast<int>(key.key.size()));
  const std::unique_ptr<jwt_t, FreeJwt> jwt(raw);
  ERR_clear_error();
  if (code != 0 || jwt == nullptr) return No("signature: wrong");
  const bool same = jwt_get_alg(jwt.get()) == LibraryAlgorithm(key.algorithm);
  return same ? absl::OkStatus() : No("alg: not that of the key");
}

}  // namespace

absl::Status JwtVerifier::Verify(std::string_view token, VerifiedToken* verified) const {
  Token parts;
  Claims header;
  Claims claims;
  VD_RETURN_IF_ERROR(parts.Split(token));
  VD_RETURN_IF_ERROR(header.Read(parts.header));
  std::string kid;
  const bool has_kid = header.Find("kid") != nullptr;
  if (has_kid) VD_RETURN_IF_ERROR(header.Text("kid", &kid));
  VD_ASSIGN_OR_RETURN(const JwtKey* key, KeyFor(kid, has_kid));
  VD_RETURN_IF_ERROR(CheckHeader(header, *key));
  VD_RETURN_IF_ERROR(CheckSignature(*key, token));
  // Only from here on does it count what the token says.
  VD_RETURN_IF_ERROR(claims.Read(parts.claims));
  VD_RETURN_IF_ERROR(CheckTimes(claims, options_, clock_->Now(), verified));
  VD_RETURN_IF_ERROR(CheckParties(claims, options_));
  VD_RETURN_IF_ERROR(ReadPrincipal(claims, &verified->principal));
  verified->principal.proof = Proof::kToken;
  verified->principal.proof_id = key->kid;
  return absl::OkStatus();
}

absl::StatusOr<Principal> JwtVerifier::Check(std::string_view token, std::string* why) const {
  *why = "token";
  if (token.size() <= kMaxTokenBytes) {
    std::optional<VerifiedToken> known = verified_.Find(token, clock_->Now());
    if (known.has_value()) return std::move(known->principal);
  }
  VerifiedToken verified;
  const absl::Status status = Verify(token, &verified);
  if (status.ok()) {
    verified_.Keep(token, verified);
    return std::move(verified.principal);
  }
  absl::StrAppend(why, ": ", status.message());
  return absl::UnauthenticatedError("credentials: not accepted");
}

}  // namespace viaduct::security
