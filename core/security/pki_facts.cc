// What a certificate says, for people and programs.
#include <arpa/inet.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/security/pki.h"
#include "core/security/pki_openssl.h"
#include "core/security/secret_octets.h"

namespace viaduct::security {
namespace {

using pki_internal::Bio;
using pki_internal::Failed;

// Of a stranger's certificate: control characters and what is no UTF-8 are escaped.
std::string Shown(std::string_view text) { return absl::Utf8SafeCHexEscape(AbslView(text)); }

std::string NameText(const X509_NAME* name) {
  const Bio bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return size <= 0 ? "" : Shown(std::string_view(data, static_cast<size_t>(size)));
}

std::string_view OctetsOf(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<size_t>(ASN1_STRING_length(text))};
}

std::string AddressText(std::string_view octets) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int family = octets.size() == 4 ? AF_INET : AF_INET6;
  if (octets.size() != 4 && octets.size() != 16) return absl::StrCat("IP:", HexOf(octets));
  inet_ntop(family, octets.data(), text.data(), text.size());
  return absl::StrCat("IP:", text.data());
}

std::string GeneralNameText(const GENERAL_NAME* name) {
  int type = 0;
  const void* value = GENERAL_NAME_get0_value(name, &type);
  const auto octets = [&] { return OctetsOf(static_cast<const ASN1_STRING*>(value)); };
  switch (type) {
    case GEN_DNS:
      return absl::StrCat("DNS:", Shown(octets()));
    case GEN_URI:
      return absl::StrCat("URI:", Shown(octets()));
    case GEN_EMAIL:
      return absl::StrCat("email:", Shown(octets()));
    case GEN_IPADD:
      return AddressText(octets());
    default:
      return "other";
  }
}

std::vector<std::string> NamesOf(X509* certificate) {
  std::vector<std::string> out;
  const pki_internal::Names names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    out.push_back(GeneralNameText(sk_GENERAL_NAME_value(names.get(), i)));
  }
  return out;
}

std::string KeyText(X509* certificate) {
  EVP_PKEY* key = X509_get0_pubkey(certificate);
  if (key == nullptr) return "unknown";
  std::array<char, 64> group{};
  size_t size = 0;
  if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size(),
                                     &size) == 1) {
    const std::string curve(group.data(), size);
    return curve == "prime256v1" ? "P-256" : curve;
  }
  const char* type = EVP_PKEY_get0_type_name(key);
  if (type == nullptr) return "unknown";
  return EVP_PKEY_is_a(key, "RSA") == 1 ? absl::StrCat("RSA ", EVP_PKEY_get_bits(key)) : type;
}

absl::StatusOr<absl::Time> TimeOf(const ASN1_TIME* time) {
  tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError("certificate: a time that is none");
  }
  return absl::FromTM(parts, absl::UTCTimeZone());
}

absl::StatusOr<std::string> DerOf(X509* certificate) {
  unsigned char* data = nullptr;
  const int size = i2d_X509(certificate, &data);
  if (size <= 0) return Failed("encode");
  std::string der(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
  OPENSSL_free(data);
  return der;
}

// Every certificate of a text in PEM.
absl::StatusOr<std::vector<pki_internal::Certificate>> AllOf(const std::string& pem,
                                                             const char* what) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  std::vector<pki_internal::Certificate> all;
  while (X509* const one = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    all.emplace_back(one);
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (at_end && !all.empty()) return all;
  return absl::InvalidArgumentError(absl::StrCat(what, ": no certificates in PEM"));
}

}  // namespace

absl::StatusOr<CertificateFacts> ParseCertificate(std::string_view pem) {
  if (pem.size() > kMaxPemBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("certificate: larger than ", kMaxPemBytes, " bytes"));
  }
  VD_ASSIGN_OR_RETURN(const pki_internal::Certificate certificate,
                      pki_internal::CertificateOf(pem));
  X509* const read = certificate.get();
  CertificateFacts facts;
  facts.subject = NameText(X509_get_subject_name(read));
  facts.issuer = NameText(X509_get_issuer_name(read));
  facts.names = NamesOf(read);
  facts.serial = HexOf(OctetsOf(X509_get0_serialNumber(read)));
  facts.key = KeyText(read);
  facts.is_authority = X509_check_ca(read) != 0;
  VD_ASSIGN_OR_RETURN(facts.not_before, TimeOf(X509_get0_notBefore(read)));
  VD_ASSIGN_OR_RETURN(facts.not_after, TimeOf(X509_get0_notAfter(read)));
  VD_ASSIGN_OR_RETURN(const std::string der, DerOf(read));
  facts.sha256 = HexSha256(der);
  ERR_clear_error();
  return facts;
}

absl::StatusOr<CertificateFacts> CheckListenerPem(const ListenerPem& pem) {
  if (pem.client_ca.size() > kMaxAuthoritiesBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("client_ca: larger than ", kMaxAuthoritiesBytes, " bytes"));
  }
  VD_ASSIGN_OR_RETURN(CertificateFacts facts, ParseCertificate(pem.certificate));
  VD_ASSIGN_OR_RETURN(const auto chain, AllOf(pem.certificate, "certificate"));
  VD_RETURN_IF_ERROR(AllOf(pem.client_ca, "client_ca").status());
  VD_ASSIGN_OR_RETURN(const pki_internal::Key key, pki_internal::KeyOf(pem.key));
  if (X509_check_private_key(chain.front().get(), key.get()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError("key: is not the key of the certificate");
  }
  for (const pki_internal::Certificate& one : chain) {
    VD_ASSIGN_OR_RETURN(const absl::Time end, TimeOf(X509_get0_notAfter(one.get())));
    facts.not_after = std::min(facts.not_after, end);
  }
  return facts;
}

}  // namespace viaduct::security
