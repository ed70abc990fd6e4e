// Certificates and keys as files: read as a whole, and what they say.
#pragma once

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plugins/common/peer_certificate.h"

namespace viaduct {

template <auto kFree>
struct FreeTls {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using X509Owner = std::unique_ptr<X509, FreeTls<X509_free>>;
using KeyOwner = std::unique_ptr<EVP_PKEY, FreeTls<EVP_PKEY_free>>;

inline constexpr size_t kMaxPemBytes = 1u << 20;  // Of one file: all authorities of a system fit.
inline constexpr size_t kMaxChain = 16;           // Certificates in a chain.
inline constexpr size_t kMaxPeerNames = 32;       // Of a client's certificate; more are left out.

// The last of OpenSSL's errors in words, and none is left behind.
std::string TakeTlsError();

// `what` is the option's name. FAILED_PRECONDITION says what is wrong with the file. A key that
// anybody else may read is refused.
absl::StatusOr<std::vector<X509Owner>> ReadCertificates(const char* what, const std::string& path,
                                                        size_t most);
absl::StatusOr<KeyOwner> ReadKey(const char* what, const std::string& path);

// The chain of `certificate` and its key, which fit, now.
struct CertifiedKey {
  std::vector<X509Owner> chain;  // The node's own first.
  KeyOwner key;
  absl::Time not_after;  // Of what ends first.
};
absl::StatusOr<CertifiedKey> ReadCertifiedKey(const std::string& certificate,
                                              const std::string& key, absl::Time now);

// Whether a file may have changed since: what it is, how large, and when it was written.
using FileStamp = std::vector<int64_t>;
FileStamp StampOf(const std::string& path);  // Empty: it is not there.

PeerCertificate FactsOf(X509* certificate);

}  // namespace viaduct
