// Where a broker is, as operators write it.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace viaduct::mqtt {

inline constexpr int kPlainPort = 1883;
inline constexpr int kTlsPort = 8883;

struct BrokerAddress {
  std::string host;
  int port = kPlainPort;
  bool tls = false;
};

// "host", "host:port", "[v6]:port", or one of them behind mqtt://, tcp:// (plain), mqtts://, ssl://
// or tls://. Without a scheme it is plain unless `tls_wanted`. INVALID_ARGUMENT says what is wrong;
// user names and passwords have options of their own and are refused here, unshown.
absl::StatusOr<BrokerAddress> ParseBrokerAddress(std::string_view url, bool tls_wanted);

}  // namespace viaduct::mqtt
