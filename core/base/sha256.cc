#include "core/base/sha256.h"

#include <openssl/evp.h>

#include "absl/strings/escaping.h"

namespace viaduct {

std::string Sha256(std::string_view octets) {
  // Looked up once: SHA256() and EVP_sha256() ask the provider by name for every digest.
  static EVP_MD* const kAlgorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  std::string digest(kSha256Bytes, '\0');
  auto* out = static_cast<unsigned char*>(static_cast<void*>(digest.data()));
  EVP_Digest(octets.data(), octets.size(), out, nullptr, kAlgorithm, nullptr);
  return digest;
}

std::string HexSha256(std::string_view octets) { return absl::BytesToHexString(Sha256(octets)); }

}  // namespace viaduct
