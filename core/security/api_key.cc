#include "core/security/api_key.h"

#include <zlib.h>

#include <array>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/security/secret_octets.h"

namespace viaduct::security {
namespace {

constexpr size_t kIdBytes = 10;
constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz234567";

std::string ChecksumOf(std::string_view text) {
  const auto crc = static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const unsigned char*>(text.data()), text.size()));
  const std::array<char, 4> octets = {static_cast<char>(crc >> 24), static_cast<char>(crc >> 16),
                                      static_cast<char>(crc >> 8), static_cast<char>(crc)};
  return EncodeBase32(std::string_view(octets.data(), octets.size()));
}

}  // namespace

absl::StatusOr<std::string> NewApiKey() {
  VD_ASSIGN_OR_RETURN(const std::string id, RandomOctets(kIdBytes));
  VD_ASSIGN_OR_RETURN(std::string secret, RandomOctets(kSecretBytes));
  std::string key =
      absl::StrCat(AbslView(kApiKeyPrefix), EncodeBase32(id), "_", EncodeBase32(secret));
  Wipe(&secret);
  absl::StrAppend(&key, ChecksumOf(key));
  return key;
}

bool LooksLikeApiKey(std::string_view text) {
  return text.substr(0, kApiKeyPrefix.size()) == kApiKeyPrefix;
}

bool ParseApiKey(std::string_view text, ApiKeyParts* parts) {
  if (text.size() != kApiKeyChars || !LooksLikeApiKey(text)) return false;
  const std::string_view rest = text.substr(kApiKeyPrefix.size());
  if (rest[kApiKeyIdChars] != '_') return false;
  const std::string_view id = rest.substr(0, kApiKeyIdChars);
  const std::string_view secret = rest.substr(kApiKeyIdChars + 1, kApiKeySecretChars);
  const size_t body = kApiKeyChars - kApiKeyChecksumChars;
  for (const std::string_view part : {id, secret, text.substr(body)}) {
    if (part.find_first_not_of(kLetters) != std::string_view::npos) return false;
  }
  if (text.substr(body) != ChecksumOf(text.substr(0, body))) return false;
  *parts = {id, secret};
  return true;
}

}  // namespace viaduct::security
