// Certificates of a test's own, made by OpenSSL.
#pragma once

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cstdio>
#include <string>

#include "plugins/common/tls_files.h"

namespace viaduct {

// What a certificate is to say; times in seconds from now.
struct TestCertificate {
  std::string name;                                        // Common name.
  std::string alternative = "DNS:localhost,IP:127.0.0.1";  // "" for none.
  long from = -60;
  long until = 86'400;
  bool is_authority = false;
};

// A certificate and its key.
class TestIdentity {
 public:
  // `issuer` null: signs itself.
  static TestIdentity Make(const TestCertificate& what, const TestIdentity* issuer = nullptr) {
    TestIdentity made;
    made.key_.reset(EVP_EC_gen("P-256"));
    made.certificate_.reset(X509_new());
    X509* const x509 = made.certificate_.get();
    static long serial = 0;  // Of one process.
    X509_set_version(x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x509), what.from);
    X509_gmtime_adj(X509_getm_notAfter(x509), what.until);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(what.name.c_str()), -1, -1,
                               0);
    X509_set_pubkey(x509, made.key_.get());
    X509* const signer = issuer == nullptr ? x509 : issuer->certificate_.get();
    X509_set_issuer_name(x509, X509_get_subject_name(signer));
    if (what.is_authority) Extend(x509, NID_basic_constraints, "critical,CA:TRUE");
    if (!what.alternative.empty()) Extend(x509, NID_subject_alt_name, what.alternative);
    X509_sign(x509, issuer == nullptr ? made.key_.get() : issuer->key_.get(), EVP_sha256());
    return made;
  }

  // Each as a whole or not at all, as `mv` does.
  void Write(const std::string& certificate, const std::string& key, mode_t mode = 0600) const {
    WriteCertificate(certificate);
    Replace(key, mode, [&](FILE* file) {
      PEM_write_PrivateKey(file, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
  }
  void WriteCertificate(const std::string& path) const {
    Replace(path, 0644, [&](FILE* file) { PEM_write_X509(file, certificate_.get()); });
  }

 private:
  static void Extend(X509* x509, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, x509, x509, nullptr, nullptr, 0);
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
  }
  template <typename Fill>
  static void Replace(const std::string& path, mode_t mode, Fill fill) {
    const std::string part = path + ".part";
    FILE* const file = std::fopen(part.c_str(), "w");
    fill(file);
    std::fclose(file);
    chmod(part.c_str(), mode);
    std::rename(part.c_str(), path.c_str());
  }

  X509Owner certificate_;
  KeyOwner key_;
};

}  // namespace viaduct
