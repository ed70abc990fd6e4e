// Internal to pki*.cc: owners of OpenSSL's objects, and the parts of a certificate.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/security/pki.h"

namespace viaduct::security::pki_internal {

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Bio = std::unique_ptr<BIO, Free<BIO_free>>;
using Number = std::unique_ptr<BIGNUM, Free<BN_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;

// Empties OpenSSL's list of errors; the last of it in words.
absl::Status Failed(std::string_view what);

absl::StatusOr<Key> MakeKey(PkiKeyType type);
absl::StatusOr<std::string> PemOf(EVP_PKEY* key);
absl::StatusOr<std::string> PemOf(X509* certificate);
absl::StatusOr<Certificate> CertificateOf(std::string_view pem);
absl::StatusOr<Key> KeyOf(std::string_view pem);

struct Authority {
  Certificate certificate;
  Key key;
};

// What a certificate says beside who signs it and until when.
struct Request {
  std::string common_name;  // "" leaves it out.
  Names names;              // Null for an authority.
  bool is_authority = false;
  bool is_server = false;
  std::string constraints;  // Of an authority, in OpenSSL's words.
};

struct Lifetime {
  absl::Time now;
  absl::Duration length;
};

// `issuer` null: signs itself.
absl::StatusOr<Certificate> Sign(const Request& request, EVP_PKEY* subject_key,
                                 const Authority* issuer, EVP_PKEY* issuer_key,
                                 const Lifetime& lifetime);

// Whether whoever trusts `authority` alone takes `certificate` now. INVALID_ARGUMENT says why not.
absl::Status Verify(X509* certificate, X509* authority, absl::Time now);

}  // namespace viaduct::security::pki_internal
