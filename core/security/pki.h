// A small private certificate authority for a site that has none: one authority, certificates for
// its servers and devices. By OpenSSL's own calls; nothing of a name goes through a configuration
// text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace viaduct::security {

enum class PkiKeyType : unsigned char { kP256, kEd25519 };

struct AuthorityOptions {
  std::string name = "Viaduct site authority";
  PkiKeyType key_type = PkiKeyType::kP256;
  absl::Duration lifetime = absl::Hours(24 * 3650);
  // The authority can sign for hosts below these and for private addresses only: whoever steals its
  // key gets nobody who trusts it to take a certificate for a bank. Beside them always: localhost,
  // local, lan, internal, home.arpa.
  std::vector<std::string> domains;
};

struct CertificateOptions {
  PkiKeyType key_type = PkiKeyType::kP256;
  absl::Duration lifetime = absl::Hours(24 * 397);  // Never beyond the authority's.
  bool overwrite = false;
  std::string out_folder;  // "" is the authority's.
};

// Where a certificate and its key are.
struct PkiFiles {
  std::string certificate;  // Mode 0644.
  std::string key;          // Mode 0600.
};

struct CertificateFacts {
  std::string subject;  // As RFC 2253 writes it.
  std::string issuer;
  std::vector<std::string> names;  // "DNS:hub.lan", "IP:10.0.0.7", "URI:urn:viaduct:device:CAM001"
  std::string serial;              // In hexadecimal.
  std::string sha256;              // Of the whole certificate: its fingerprint.
  std::string key;                 // "P-256", "ED25519", "RSA 2048"
  absl::Time not_before;
  absl::Time not_after;
  bool is_authority = false;
};

inline constexpr size_t kMaxPemBytes = 65'536;
inline constexpr size_t kMaxServerNames = 32;

// `folder`/ca.crt and ca.key; the folder is made with mode 0700 where it is missing.
// ALREADY_EXISTS: there is one, and `overwrite` was not said: every certificate of the old one
// would be worth nothing.
absl::StatusOr<PkiFiles> InitAuthority(const std::string& folder, const AuthorityOptions& options,
                                       bool overwrite, absl::Time now);

// For a device: its id is the name URI:urn:viaduct:device:<id>, for which the Authenticator looks.
// Files are called after the id.
absl::StatusOr<PkiFiles> IssueDevice(const std::string& folder, std::string_view device_id,
                                     const CertificateOptions& options, absl::Time now);

// For a server by its host names and addresses; files are called after the first.
// INVALID_ARGUMENT: one is neither, or the authority may not sign for it.
absl::StatusOr<PkiFiles> IssueServer(const std::string& folder,
                                     const std::vector<std::string>& names,
                                     const CertificateOptions& options, absl::Time now);

// The same certificate with a new number and lifetime, in its place, as a whole or not at all. The
// key stays, so that the two fit at every moment; for a new key issue a new certificate.
// FAILED_PRECONDITION: it is not of this authority, or the key beside it is not its key.
absl::StatusOr<CertificateFacts> RenewCertificate(const std::string& folder,
                                                  const std::string& certificate,
                                                  absl::Duration lifetime, absl::Time now);

// The first certificate of a file in PEM. Accepts any octets.
absl::StatusOr<CertificateFacts> ParseCertificate(std::string_view pem);
absl::StatusOr<CertificateFacts> ReadCertificate(const std::string& path);

// What a listener with mutual TLS needs, in PEM. `client_ca` may have many authorities.
struct ListenerPem {
  std::string certificate;  // The chain.
  std::string key;
  std::string client_ca;
};
inline constexpr size_t kMaxAuthoritiesBytes = 1u << 20;

// Whether they fit together. The facts are those of the listener's own certificate, but for
// not_after, which is that of the first of the chain to end. INVALID_ARGUMENT says what is wrong.
absl::StatusOr<CertificateFacts> CheckListenerPem(const ListenerPem& pem);

}  // namespace viaduct::security
