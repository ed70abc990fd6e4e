// SHA-256 (FIPS 180-4) of texts, names and keys at once, and of files piece by piece.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace viaduct {

inline constexpr size_t kSha256Bytes = 32;

// The 32 octets of the digest. Thread-safe.
std::string Sha256(std::string_view octets);
// The same in 64 hexadecimal digits, in lower case.
std::string HexSha256(std::string_view octets);

// The digest of what comes in pieces, in constant memory. Thread-compatible.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(Sha256Stream&&) noexcept;
  Sha256Stream& operator=(Sha256Stream&&) noexcept;

  void Add(std::string_view octets);
  // 64 hexadecimal digits, in lower case. Once; nothing may be added after it.
  std::string Hex();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace viaduct
