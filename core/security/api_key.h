// The text form of an API key:
//
//   vdk_<id: 16 characters>_<secret: 52 characters><checksum: 7 characters>
//
// all in base 32. The prefix lets scanners of repositories and logs recognise a key, the checksum
// tells a key that was cut or mistyped from one that is unknown, before anything is looked up. The
// id is no secret: it finds the record and stands in lists and logs.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace viaduct::security {

inline constexpr std::string_view kApiKeyPrefix = "vdk_";
inline constexpr size_t kApiKeyIdChars = 16;      // 80 random bits.
inline constexpr size_t kApiKeySecretChars = 52;  // 256 random bits.
inline constexpr size_t kApiKeyChecksumChars = 7;
inline constexpr size_t kApiKeyChars =
    4 + kApiKeyIdChars + 1 + kApiKeySecretChars + kApiKeyChecksumChars;

// Slices of the text they were read from.
struct ApiKeyParts {
  std::string_view id;
  std::string_view secret;
};

absl::StatusOr<std::string> NewApiKey();
// False for whatever is no key. Accepts any octets of any length.
bool ParseApiKey(std::string_view text, ApiKeyParts* parts);
bool LooksLikeApiKey(std::string_view text);  // By its prefix.

}  // namespace viaduct::security
