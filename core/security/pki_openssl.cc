#include "core/security/pki_openssl.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/security/secret_octets.h"

namespace viaduct::security::pki_internal {
namespace {

constexpr size_t kSerialBytes = 20;  // The most that RFC 5280 allows; 159 of the bits are random.
// For clocks that are behind.
constexpr absl::Duration kBackdate = absl::Minutes(5);

int NoPassword(char*, int, int, void*) { return 0; }

absl::StatusOr<std::string> TextOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  if (size <= 0) return Failed("write PEM");
  return std::string(data, static_cast<size_t>(size));
}

Bio BioOf(std::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

absl::Status SetSerial(X509* certificate) {
  VD_ASSIGN_OR_RETURN(std::string octets, RandomOctets(kSerialBytes));
  octets[0] = static_cast<char>((octets[0] & 0x7f) | 0x40);  // Positive, and of full length.
  const Number number(BN_bin2bn(reinterpret_cast<const unsigned char*>(octets.data()),
                                static_cast<int>(octets.size()), nullptr));
  if (number == nullptr ||
      BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) == nullptr) {
    return Failed("set the serial number");
  }
  return absl::OkStatus();
}

absl::Status SetTimes(X509* certificate, const Lifetime& lifetime, X509* issuer) {
  absl::Time end = lifetime.now + lifetime.length;
  if (issuer != nullptr) {
    tm until{};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(issuer), &until) != 1) return Failed("read a time");
    end = std::min(end, absl::FromTM(until, absl::UTCTimeZone()));
  }
  if (end <= lifetime.now) {
    return absl::FailedPreconditionError("certificate: it, or its authority, would be expired");
  }
  const bool good = ASN1_TIME_set(X509_getm_notBefore(certificate),
                                  absl::ToTimeT(lifetime.now - kBackdate)) != nullptr &&
                    ASN1_TIME_set(X509_getm_notAfter(certificate), absl::ToTimeT(end)) != nullptr;
  return good ? absl::OkStatus() : Failed("set the times");
}

bool AddText(X509_NAME* name, const char* field, std::string_view text) {
  return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(text.data()),
                                    static_cast<int>(text.size()), -1, 0) == 1;
}

absl::Status SetSubject(X509* certificate, std::string_view common_name) {
  X509_NAME* name = X509_get_subject_name(certificate);
  const bool good =
      AddText(name, "O", "Viaduct") && (common_name.empty() || AddText(name, "CN", common_name));
  return good ? absl::OkStatus() : Failed("set the subject");
}

// `value` is a text of this file's or made of checked parts.
absl::Status AddExtension(X509* certificate, X509* issuer, int id, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, id, value);
  const bool good = extension != nullptr && X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return good ? absl::OkStatus() : Failed("add an extension");
}

absl::Status AddExtensions(X509* certificate, X509* issuer, const Request& request) {
  struct Extension {
    int id;
    const char* value;
  };
  const bool ca = request.is_authority;
  const std::array<Extension, 5> extensions = {
      {{NID_basic_constraints, ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE"},
       {NID_key_usage, ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature"},
       {NID_ext_key_usage, ca                  ? nullptr
                           : request.is_server ? "serverAuth"
                                               : "clientAuth"},
       {NID_subject_key_identifier, "hash"},
       {NID_name_constraints,
        request.constraints.empty() ? nullptr : request.constraints.c_str()}}};
  for (const Extension& extension : extensions) {
    if (extension.value == nullptr) continue;
    VD_RETURN_IF_ERROR(AddExtension(certificate, issuer, extension.id, extension.value));
  }
  VD_RETURN_IF_ERROR(
      AddExtension(certificate, issuer, NID_authority_key_identifier, "keyid:always"));
  if (request.names != nullptr &&
      X509_add1_ext_i2d(certificate, NID_subject_alt_name, request.names.get(), 0,
                        X509V3_ADD_APPEND) != 1) {
    return Failed("add the names");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Failed(std::string_view what) {
  std::array<char, 256> text{};
  const unsigned long code = ERR_peek_last_error();
  if (code != 0) ERR_error_string_n(code, text.data(), text.size());
  ERR_clear_error();
  return absl::InternalError(
      absl::StrCat("certificate: cannot ", AbslView(what), ", ", text.data()));
}

absl::StatusOr<Key> MakeKey(PkiKeyType type) {
  Key key(type == PkiKeyType::kEd25519 ? EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")
                                       : EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  if (key == nullptr) return Failed("make a key");
  return key;
}

absl::StatusOr<std::string> PemOf(EVP_PKEY* key) {
  const Bio bio(BIO_new(BIO_s_secmem()));
  if (PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return Failed("write a key");
  }
  return TextOf(bio.get());
}

absl::StatusOr<std::string> PemOf(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(bio.get(), certificate) != 1) return Failed("write a certificate");
  return TextOf(bio.get());
}

absl::StatusOr<Certificate> CertificateOf(std::string_view pem) {
  const Bio bio = BioOf(pem);
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  if (certificate == nullptr) {
    return absl::InvalidArgumentError("certificate: there is none in PEM");
  }
  return certificate;
}

absl::StatusOr<Key> KeyOf(std::string_view pem) {
  const Bio bio = BioOf(pem);
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  if (key == nullptr) return absl::InvalidArgumentError("key: there is none in PEM");
  return key;
}

absl::StatusOr<Certificate> Sign(const Request& request, EVP_PKEY* subject_key,
                                 const Authority* issuer, EVP_PKEY* issuer_key,
                                 const Lifetime& lifetime) {
  Certificate certificate(X509_new());
  X509* made = certificate.get();
  X509* authority = issuer == nullptr ? made : issuer->certificate.get();
  if (made == nullptr || X509_set_version(made, X509_VERSION_3) != 1 ||
      X509_set_pubkey(made, subject_key) != 1) {
    return Failed("begin");
  }
  VD_RETURN_IF_ERROR(SetSerial(made));
  VD_RETURN_IF_ERROR(SetTimes(made, lifetime, issuer == nullptr ? nullptr : authority));
  VD_RETURN_IF_ERROR(SetSubject(made, request.common_name));
  if (X509_set_issuer_name(made, X509_get_subject_name(authority)) != 1) return Failed("name it");
  VD_RETURN_IF_ERROR(AddExtensions(made, authority, request));
  // Ed25519 has its own digest.
  const EVP_MD* digest = EVP_PKEY_is_a(issuer_key, "ED25519") == 1 ? nullptr : EVP_sha256();
  if (X509_sign(made, issuer_key, digest) == 0) return Failed("sign");
  return certificate;
}

absl::Status Verify(X509* certificate, X509* authority, absl::Time now) {
  const std::unique_ptr<X509_STORE, Free<X509_STORE_free>> store(X509_STORE_new());
  const std::unique_ptr<X509_STORE_CTX, Free<X509_STORE_CTX_free>> context(X509_STORE_CTX_new());
  if (store == nullptr || context == nullptr || X509_STORE_add_cert(store.get(), authority) != 1 ||
      X509_STORE_CTX_init(context.get(), store.get(), certificate, nullptr) != 1) {
    return Failed("verify");
  }
  X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(context.get()), absl::ToTimeT(now));
  const bool good = X509_verify_cert(context.get()) == 1;
  const int error = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("certificate: would not be taken, ", X509_verify_cert_error_string(error)));
}

}  // namespace viaduct::security::pki_internal
