// Keys and signed tokens for tests, by OpenSSL directly: not by the library that checks them.
#pragma once

#include <openssl/bio.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/security/secret_octets.h"

namespace viaduct::security {

using TestKey = std::shared_ptr<EVP_PKEY>;

inline TestKey MakeRsa(size_t bits) {
  return TestKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", bits), EVP_PKEY_free);
}
inline TestKey MakeEc(const char* curve) {
  return TestKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve), EVP_PKEY_free);
}

inline std::string PublicPem(const TestKey& key) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PUBKEY(bio, key.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string pem(data, static_cast<size_t>(size));
  BIO_free(bio);
  return pem;
}

inline std::string Base64Url(std::string_view text) {
  return absl::WebSafeBase64Escape(AbslView(text));
}

inline std::string SignDer(const TestKey& key, const EVP_MD* digest, std::string_view text) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_DigestSignInit(context, nullptr, digest, nullptr, key.get());
  const auto* octets = reinterpret_cast<const unsigned char*>(text.data());
  size_t size = 0;
  EVP_DigestSign(context, nullptr, &size, octets, text.size());
  std::string out(size, '\0');
  EVP_DigestSign(context, reinterpret_cast<unsigned char*>(out.data()), &size, octets, text.size());
  out.resize(size);
  EVP_MD_CTX_free(context);
  return out;
}

// RFC 7518 section 3.4: r and s of a fixed size, one after the other.
inline std::string SignEc(const TestKey& key, std::string_view text, int half) {
  const std::string der = SignDer(key, EVP_sha256(), text);
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
  std::string out(static_cast<size_t>(2 * half), '\0');
  auto* octets = reinterpret_cast<unsigned char*>(out.data());
  BN_bn2binpad(ECDSA_SIG_get0_r(signature), octets, half);
  BN_bn2binpad(ECDSA_SIG_get0_s(signature), octets + half, half);
  ECDSA_SIG_free(signature);
  return out;
}

inline std::string Unsigned(std::string_view header, std::string_view claims) {
  return absl::StrCat(Base64Url(header), ".", Base64Url(claims));
}
inline std::string TokenHs(std::string_view header, std::string_view claims,
                           std::string_view secret) {
  const std::string text = Unsigned(header, claims);
  return absl::StrCat(text, ".", Base64Url(HmacSha256(secret, text)));
}
inline std::string TokenRs(std::string_view header, std::string_view claims, const TestKey& key) {
  const std::string text = Unsigned(header, claims);
  return absl::StrCat(text, ".", Base64Url(SignDer(key, EVP_sha256(), text)));
}
inline std::string TokenEs(std::string_view header, std::string_view claims, const TestKey& key,
                           int half = 32) {
  const std::string text = Unsigned(header, claims);
  return absl::StrCat(text, ".", Base64Url(SignEc(key, text, half)));
}

}  // namespace viaduct::security
