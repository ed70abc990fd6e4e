#include "core/security/pki.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/durable_file.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/message/json_scanner.h"
#include "core/security/pki_openssl.h"
#include "core/security/principal.h"
#include "core/security/secret_octets.h"
#include "core/security/urn.h"

namespace viaduct::security {
namespace {

using pki_internal::Authority;
using pki_internal::Certificate;
using pki_internal::Failed;
using pki_internal::Key;
using pki_internal::Names;

constexpr size_t kMaxCommonNameBytes = 64;
constexpr size_t kMaxHostBytes = 253;
constexpr size_t kMaxLabelBytes = 63;
constexpr size_t kMaxFileNameBytes = 200;
constexpr absl::Duration kMaxLifetime = absl::Hours(24 * 366 * 30);

// Private and local addresses: RFC 1918, 6598, 3927, 4193, 4291.
constexpr char kPrivateAddresses[] =
    ",permitted;IP:10.0.0.0/255.0.0.0,permitted;IP:172.16.0.0/255.240.0.0"
    ",permitted;IP:192.168.0.0/255.255.0.0,permitted;IP:127.0.0.0/255.0.0.0"
    ",permitted;IP:100.64.0.0/255.192.0.0,permitted;IP:169.254.0.0/255.255.0.0"
    ",permitted;IP:fc00::/fe00::,permitted;IP:fe80::/ffc0::"
    ",permitted;IP:::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
constexpr char kLocalDomains[] =
    "critical,permitted;DNS:localhost,permitted;DNS:local,permitted;DNS:lan"
    ",permitted;DNS:internal,permitted;DNS:home.arpa";

bool IsHostName(std::string_view name) {
  if (name.empty() || name.size() > kMaxHostBytes) return false;
  for (const absl::string_view label : absl::StrSplit(AbslView(name), '.')) {
    if (label.empty() || label.size() > kMaxLabelBytes || label.front() == '-' ||
        label.back() == '-') {
      return false;
    }
    for (const char c : label) {
      if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-') return false;
    }
  }
  return true;
}

// 4 or 16 octets, "" for what is no address.
std::string AddressOctets(const std::string& text) {
  std::array<char, 16> octets{};
  if (inet_pton(AF_INET, text.c_str(), octets.data()) == 1) return {octets.data(), 4};
  if (inet_pton(AF_INET6, text.c_str(), octets.data()) == 1) return {octets.data(), 16};
  return "";
}

absl::Status AddName(GENERAL_NAMES* names, int type, std::string_view octets) {
  GENERAL_NAME* name = GENERAL_NAME_new();
  ASN1_STRING* value =
      ASN1_STRING_type_new(type == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
  if (name == nullptr || value == nullptr ||
      ASN1_STRING_set(value, octets.data(), static_cast<int>(octets.size())) != 1) {
    GENERAL_NAME_free(name);
    ASN1_STRING_free(value);
    return Failed("add a name");
  }
  GENERAL_NAME_set0_value(name, type, value);
  if (sk_GENERAL_NAME_push(names, name) > 0) return absl::OkStatus();
  GENERAL_NAME_free(name);
  return Failed("add a name");
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

absl::Status Write(const std::string& path, std::string_view text, mode_t mode) {
  VD_RETURN_IF_ERROR(WriteFileDurably(FolderOf(path), path.substr(path.rfind('/') + 1), text));
  if (mode == 0600 || ::chmod(path.c_str(), mode) == 0) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(path, ": cannot set its mode, ", strerror(errno)));
}

absl::Status CheckFree(const PkiFiles& files) {
  for (const std::string& path : {files.certificate, files.key}) {
    struct stat facts {};
    if (::lstat(path.c_str(), &facts) == 0) {
      return absl::AlreadyExistsError(absl::StrCat(path, ": is there already"));
    }
  }
  return absl::OkStatus();
}

// The key first: a certificate that is there has its key.
absl::Status WriteBoth(const PkiFiles& files, EVP_PKEY* key, X509* certificate) {
  VD_ASSIGN_OR_RETURN(std::string key_pem, pki_internal::PemOf(key));
  VD_ASSIGN_OR_RETURN(const std::string certificate_pem, pki_internal::PemOf(certificate));
  const absl::Status written = Write(files.key, key_pem, 0600);
  Wipe(&key_pem);
  VD_RETURN_IF_ERROR(written);
  return Write(files.certificate, certificate_pem, 0644);
}

absl::StatusOr<Key> LoadKey(const std::string& path) {
  VD_ASSIGN_OR_RETURN(std::string pem, ReadProtected(path, kMaxPemBytes));
  absl::StatusOr<Key> key = pki_internal::KeyOf(pem);
  Wipe(&pem);
  if (key.ok()) return key;
  return absl::Status(key.status().code(), absl::StrCat(path, ": ", key.status().message()));
}

absl::StatusOr<Certificate> LoadCertificate(const std::string& path) {
  VD_ASSIGN_OR_RETURN(const std::string pem, ReadWholeFile(path, kMaxPemBytes));
  absl::StatusOr<Certificate> read = pki_internal::CertificateOf(pem);
  if (read.ok()) return read;
  return absl::Status(read.status().code(), absl::StrCat(path, ": ", read.status().message()));
}

absl::StatusOr<Authority> LoadAuthority(const std::string& folder) {
  Authority authority;
  VD_ASSIGN_OR_RETURN(authority.certificate, LoadCertificate(folder + "/ca.crt"));
  VD_ASSIGN_OR_RETURN(authority.key, LoadKey(folder + "/ca.key"));
  if (X509_check_private_key(authority.certificate.get(), authority.key.get()) != 1 ||
      X509_check_ca(authority.certificate.get()) == 0) {
    ERR_clear_error();
    return absl::FailedPreconditionError(
        absl::StrCat(folder, ": ca.crt and ca.key are not one authority"));
  }
  return authority;
}

absl::Status CheckLifetime(absl::Duration lifetime) {
  if (lifetime >= absl::Hours(1) && lifetime <= kMaxLifetime) return absl::OkStatus();
  return absl::InvalidArgumentError("certificate: lifetime is not between an hour and 30 years");
}

absl::StatusOr<PkiFiles> Issue(const std::string& folder, const std::string& file_name,
                               const pki_internal::Request& request,
                               const CertificateOptions& options, absl::Time now) {
  VD_RETURN_IF_ERROR(CheckLifetime(options.lifetime));
  const std::string out = options.out_folder.empty() ? folder : options.out_folder;
  const PkiFiles files{absl::StrCat(out, "/", file_name, ".crt"),
                       absl::StrCat(out, "/", file_name, ".key")};
  if (!options.overwrite) VD_RETURN_IF_ERROR(CheckFree(files));
  VD_ASSIGN_OR_RETURN(const Authority authority, LoadAuthority(folder));
  VD_ASSIGN_OR_RETURN(const Key key, pki_internal::MakeKey(options.key_type));
  VD_ASSIGN_OR_RETURN(
      const Certificate certificate,
      Sign(request, key.get(), &authority, authority.key.get(), {now, options.lifetime}));
  VD_RETURN_IF_ERROR(pki_internal::Verify(certificate.get(), authority.certificate.get(), now));
  VD_RETURN_IF_ERROR(WriteBoth(files, key.get(), certificate.get()));
  return files;
}

}  // namespace

absl::StatusOr<PkiFiles> InitAuthority(const std::string& folder, const AuthorityOptions& options,
                                       bool overwrite, absl::Time now) {
  VD_RETURN_IF_ERROR(CheckLifetime(options.lifetime));
  pki_internal::Request request;
  request.is_authority = true;
  request.common_name = options.name;
  request.constraints = kLocalDomains;
  if (options.name.size() > kMaxCommonNameBytes || !IsValidUtf8(options.name)) {
    return absl::InvalidArgumentError("authority: its name is longer than 64 bytes, or no text");
  }
  for (const std::string& domain : options.domains) {
    if (!IsHostName(domain)) {
      return absl::InvalidArgumentError(absl::StrCat("authority: no domain, ", ShownText(domain)));
    }
    absl::StrAppend(&request.constraints, ",permitted;DNS:", domain);
  }
  absl::StrAppend(&request.constraints, kPrivateAddresses);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::UnavailableError(absl::StrCat(folder, ": cannot create, ", strerror(errno)));
  }
  const PkiFiles files{folder + "/ca.crt", folder + "/ca.key"};
  if (!overwrite) VD_RETURN_IF_ERROR(CheckFree(files));
  VD_ASSIGN_OR_RETURN(const Key key, pki_internal::MakeKey(options.key_type));
  VD_ASSIGN_OR_RETURN(const Certificate certificate,
                      Sign(request, key.get(), nullptr, key.get(), {now, options.lifetime}));
  VD_RETURN_IF_ERROR(WriteBoth(files, key.get(), certificate.get()));
  return files;
}

absl::StatusOr<PkiFiles> IssueDevice(const std::string& folder, std::string_view device_id,
                                     const CertificateOptions& options, absl::Time now) {
  Principal device;
  device.kind = PrincipalKind::kDevice;
  device.role = Role::kDevice;
  device.id = std::string(device_id);
  VD_RETURN_IF_ERROR(CheckPrincipal(device));
  pki_internal::Request request;
  const std::string urn = UrnOf(device_id);
  if (urn.size() > kMaxFileNameBytes) {
    return absl::InvalidArgumentError("certificate: the id is too long for a file's name");
  }
  // Brokers take the common name as user name. One with a dot would be judged as a host's name.
  const bool fits =
      device_id.size() <= kMaxCommonNameBytes && device_id.find('.') == std::string_view::npos;
  if (fits) request.common_name = device.id;
  request.names.reset(GENERAL_NAMES_new());
  VD_RETURN_IF_ERROR(
      AddName(request.names.get(), GEN_URI, absl::StrCat(AbslView(kDeviceUrn), urn)));
  return Issue(folder, urn, request, options, now);
}

absl::StatusOr<PkiFiles> IssueServer(const std::string& folder,
                                     const std::vector<std::string>& names,
                                     const CertificateOptions& options, absl::Time now) {
  if (names.empty() || names.size() > kMaxServerNames) {
    return absl::InvalidArgumentError(
        absl::StrCat("certificate: want 1 to ", kMaxServerNames, " names"));
  }
  pki_internal::Request request;
  request.is_server = true;
  request.names.reset(GENERAL_NAMES_new());
  for (const std::string& name : names) {
    const std::string address = AddressOctets(name);
    if (address.empty() && !IsHostName(name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("certificate: neither a host's name nor an address, ", ShownText(name)));
    }
    VD_RETURN_IF_ERROR(AddName(request.names.get(), address.empty() ? GEN_DNS : GEN_IPADD,
                               address.empty() ? name : address));
  }
  // An address as common name would be judged as a host's name.
  const bool fits = names.front().size() <= kMaxCommonNameBytes;
  if (fits && AddressOctets(names.front()).empty()) request.common_name = names.front();
  return Issue(folder, UrnOf(names.front()), request, options, now);
}

absl::StatusOr<CertificateFacts> RenewCertificate(const std::string& folder,
                                                  const std::string& certificate,
                                                  absl::Duration lifetime, absl::Time now) {
  VD_RETURN_IF_ERROR(CheckLifetime(lifetime));
  VD_ASSIGN_OR_RETURN(const Authority authority, LoadAuthority(folder));
  VD_ASSIGN_OR_RETURN(const Certificate old, LoadCertificate(certificate));
  X509* const issuer = authority.certificate.get();
  const bool ours = X509_check_issued(issuer, old.get()) == X509_V_OK &&
                    X509_verify(old.get(), authority.key.get()) == 1 &&
                    X509_check_ca(old.get()) == 0;
  ERR_clear_error();
  if (!ours) {
    return absl::FailedPreconditionError(
        absl::StrCat(certificate, ": not a certificate of this authority"));
  }
  const size_t dot = certificate.rfind('.');
  VD_ASSIGN_OR_RETURN(const Key key, LoadKey(certificate.substr(0, dot) + ".key"));
  if (X509_check_private_key(old.get(), key.get()) != 1) {
    ERR_clear_error();
    return absl::FailedPreconditionError(absl::StrCat(certificate, ": its key is another one"));
  }
  pki_internal::Request request;
  request.is_server = (X509_get_extended_key_usage(old.get()) & XKU_SSL_SERVER) != 0;
  request.names.reset(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(old.get(), NID_subject_alt_name, nullptr, nullptr)));
  std::array<char, kMaxCommonNameBytes * 4 + 1> name{};
  const int size = X509_NAME_get_text_by_NID(X509_get_subject_name(old.get()), NID_commonName,
                                             name.data(), static_cast<int>(name.size()));
  if (size > 0) request.common_name.assign(name.data(), static_cast<size_t>(size));
  VD_ASSIGN_OR_RETURN(const Certificate renewed,
                      Sign(request, key.get(), &authority, authority.key.get(), {now, lifetime}));
  VD_RETURN_IF_ERROR(pki_internal::Verify(renewed.get(), issuer, now));
  VD_ASSIGN_OR_RETURN(const std::string pem, pki_internal::PemOf(renewed.get()));
  VD_RETURN_IF_ERROR(Write(certificate, pem, 0644));
  return ParseCertificate(pem);
}

absl::StatusOr<CertificateFacts> ReadCertificate(const std::string& path) {
  VD_ASSIGN_OR_RETURN(const std::string pem, ReadWholeFile(path, kMaxPemBytes));
  absl::StatusOr<CertificateFacts> facts = ParseCertificate(pem);
  if (facts.ok()) return facts;
  return absl::Status(facts.status().code(), absl::StrCat(path, ": ", facts.status().message()));
}

}  // namespace viaduct::security
