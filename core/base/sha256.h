// SHA-256 (FIPS 180-4) of short texts: names, keys, the sameness of two files.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace viaduct {

inline constexpr size_t kSha256Bytes = 32;

// The 32 octets of the digest. Thread-safe.
std::string Sha256(std::string_view octets);
// The same in 64 hexadecimal digits, in lower case.
std::string HexSha256(std::string_view octets);

}  // namespace viaduct
