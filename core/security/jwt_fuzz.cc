// libFuzzer entry: any bytes, once as a token as it comes, once as "<header>\n<claims>" that
// whoever has the secret signed. Besides not crashing, what is accepted must be a principal that
// can be, and say what an independent parser reads.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "core/security/jwt.h"
#include "core/security/secret_octets.h"

namespace {

using viaduct::security::JwtAlgorithm;
using viaduct::security::JwtVerifier;
using viaduct::security::Principal;

constexpr char kSecret[] = "0123456789abcdef0123456789abcdef";

void Require(bool condition) {
  if (!condition) std::abort();
}

std::string Encoded(std::string_view text) {
  return absl::WebSafeBase64Escape(absl::string_view(text.data(), text.size()));
}

void CheckSigned(const JwtVerifier& verifier, std::string_view text) {
  const size_t line = text.find('\n');
  if (line == std::string_view::npos) return;
  const std::string_view claims = text.substr(line + 1);
  std::string token = Encoded(text.substr(0, line)) + "." + Encoded(claims);
  token += "." + Encoded(viaduct::security::HmacSha256(kSecret, token));
  std::string why;
  const absl::StatusOr<Principal> principal = verifier.Check(token, &why);
  if (!principal.ok()) return;
  Require(viaduct::security::CheckPrincipal(*principal).ok());
  const auto json = nlohmann::json::parse(claims, nullptr, false);
  Require(json.is_object() && json["sub"] == principal->id && json["iss"] == "site");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static const viaduct::FakeClock clock;
  viaduct::security::JwtOptions options;
  options.issuer = "site";
  options.audience = "viaduct";
  options.keys = {{"k", JwtAlgorithm::kHs256, kSecret}};
  const auto verifier = JwtVerifier::Create(options, &clock);
  Require(verifier.ok());
  std::string why;
  // Nobody signs a token by chance.
  Require(!(*verifier)->Check(text, &why).ok());
  CheckSigned(**verifier, text);
  return 0;
}
