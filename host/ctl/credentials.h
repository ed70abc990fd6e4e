// What viaductctl shows of itself to the node with every call.
#pragma once

#include <grpcpp/support/client_interceptor.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace viaduct::ctl {

inline constexpr size_t kMaxCredentialFileBytes = 16'384;

// From files that only their owner may read; an empty path is none. The error names the file.
struct CredentialFiles {
  std::string token;    // Goes as "authorization: Bearer ...".
  std::string api_key;  // Goes as "x-api-key: ...".
};

using Interceptors =
    std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>>;

// For the channel: adds the credentials to each of its calls. Empty without credentials.
absl::StatusOr<Interceptors> ReadCredentials(const CredentialFiles& files);

}  // namespace viaduct::ctl
