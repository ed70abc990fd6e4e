// Octets that nobody may guess or see, and the few primitives over them, all by OpenSSL.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace viaduct::security {

inline constexpr size_t kSecretBytes = 32;  // Of every key that this room makes itself.

// From the system's generator. INTERNAL where that fails, which is never to be ignored.
absl::StatusOr<std::string> RandomOctets(size_t count);

// Takes the same time wherever they differ; only a difference in length shows.
bool EqualInConstantTime(std::string_view a, std::string_view b);

// 32 octets.
std::string HmacSha256(std::string_view key, std::string_view text);

// Overwrites what `secret` holds, then empties it.
void Wipe(std::string* secret);

std::string HexOf(std::string_view octets);  // In lower case.

// RFC 4648 without line breaks and blanks, and only the one spelling that the encoder would give:
// two texts of the same octets would be two signatures for one. False: it is not that.
bool DecodeBase64(std::string_view text, std::string* octets);     // With padding.
bool DecodeBase64Url(std::string_view text, std::string* octets);  // Without padding.

// Base 32 of RFC 4648 in lower case without padding: no character needs escaping anywhere.
std::string EncodeBase32(std::string_view octets);

// The secret of this node in `path`: 64 hexadecimal digits, made when there is no such file.
// FAILED_PRECONDITION: others may read it, or it belongs to another user. DATA_LOSS: it is none.
absl::StatusOr<std::string> LoadOrMakeSecret(const std::string& path);

// FAILED_PRECONDITION unless `path` is a regular file of this user that only it may read.
absl::Status CheckProtected(const std::string& path);

// The text of a file that passes CheckProtected, looked at and read through one descriptor.
absl::StatusOr<std::string> ReadProtected(const std::string& path, size_t max_bytes);

}  // namespace viaduct::security
