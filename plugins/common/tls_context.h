// What OpenSSL is told of TLS in this house, on both sides: 1.3 preferred and 1.2 at the least,
// authenticated ciphers with fresh keys only, no renegotiation, no compression, no tickets.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plugins/common/tls_options.h"

namespace viaduct {

// Of TLS 1.2, for a library that wants to be told; those of 1.3 are all as good.
const char* TlsSuites12();

using TlsContext = std::shared_ptr<SSL_CTX>;  // Shared with the connections that it began.

struct ListenerContext {
  TlsContext context;
  absl::Time not_after;  // Of the certificate.
};

// Reads the files. FAILED_PRECONDITION names the one that cannot be used, and why.
absl::StatusOr<ListenerContext> MakeListenerContext(const TlsListenerOptions& options,
                                                    absl::Time now);

// For connections to `host`, a name or an address, which the server's certificate must be for.
absl::StatusOr<TlsContext> MakeRoadContext(const TlsRoadOptions& options, const std::string& host,
                                           absl::Time now);
// The same for a context that a library has made.
absl::Status SetUpRoad(const TlsRoadOptions& options, const std::string& host, absl::Time now,
                       SSL_CTX* context);
// Whether the files of a road can be used, for a library that reads them itself.
absl::Status CheckRoad(const TlsRoadOptions& options, absl::Time now);

}  // namespace viaduct
