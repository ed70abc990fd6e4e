// libFuzzer entry: lines "<name>=<value>" as the credentials that a listener found. Nothing of them
// may be accepted but a certificate of a device, whose id must then be one that can be.
#include <cstdint>
#include <cstdlib>

#include "absl/strings/str_split.h"
#include "core/security/api_key.h"
#include "core/security/authenticator.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  viaduct::Peer peer;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::pair<absl::string_view, absl::string_view> both =
        absl::StrSplit(line, absl::MaxSplits('=', 1));
    peer.credentials.emplace_back(both.first, both.second);
    viaduct::security::ApiKeyParts parts;
    const std::string_view value(both.second.data(), both.second.size());
    if (!viaduct::security::ParseApiKey(value, &parts)) continue;
    Require(parts.id.size() == viaduct::security::kApiKeyIdChars);
    Require(parts.secret.size() == viaduct::security::kApiKeySecretChars);
  }
  viaduct::security::AuthenticatorParts parts;
  parts.device_certificates = true;
  const auto authenticator = viaduct::security::Authenticator::Create(parts);
  Require(authenticator.ok());
  static_cast<void>(viaduct::security::Authenticator::TakesLong(peer));
  const auto result = authenticator->Authenticate(peer);
  if (!result.principal.ok()) {
    Require(!result.why.empty() && result.why.size() < 1024);
    return 0;
  }
  Require(result.principal->proof == viaduct::security::Proof::kCertificate);
  Require(viaduct::security::CheckPrincipal(*result.principal).ok());
  Require(result.principal->SpeaksFor(result.principal->id));
  return 0;
}
