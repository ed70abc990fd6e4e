#include "core/base/sha256.h"

#include <openssl/evp.h>

#include "absl/strings/escaping.h"

namespace viaduct {

namespace {

// Looked up once: SHA256() and EVP_sha256() ask the provider by name for every digest.
const EVP_MD* Algorithm() {
  static EVP_MD* const kAlgorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return kAlgorithm;
}

}  // namespace

std::string Sha256(std::string_view octets) {
  std::string digest(kSha256Bytes, '\0');
  auto* out = static_cast<unsigned char*>(static_cast<void*>(digest.data()));
  EVP_Digest(octets.data(), octets.size(), out, nullptr, Algorithm(), nullptr);
  return digest;
}

std::string HexSha256(std::string_view octets) { return absl::BytesToHexString(Sha256(octets)); }

struct Sha256Stream::Context {
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> digest{EVP_MD_CTX_new()};
};

Sha256Stream::Sha256Stream() : context_(std::make_unique<Context>()) {
  EVP_DigestInit_ex2(context_->digest.get(), Algorithm(), nullptr);
}
Sha256Stream::~Sha256Stream() = default;
Sha256Stream::Sha256Stream(Sha256Stream&&) noexcept = default;
Sha256Stream& Sha256Stream::operator=(Sha256Stream&&) noexcept = default;

void Sha256Stream::Add(std::string_view octets) {
  EVP_DigestUpdate(context_->digest.get(), octets.data(), octets.size());
}

std::string Sha256Stream::Hex() {
  std::string digest(kSha256Bytes, '\0');
  auto* out = static_cast<unsigned char*>(static_cast<void*>(digest.data()));
  EVP_DigestFinal_ex(context_->digest.get(), out, nullptr);
  return absl::BytesToHexString(digest);
}

}  // namespace viaduct
