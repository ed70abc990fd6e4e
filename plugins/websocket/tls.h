// TLS as this plugin speaks it, on both sides.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <string>

#include "absl/status/status.h"

namespace viaduct::websocket {

// A server's: TLS 1.2 or newer. INVALID_ARGUMENT names the file that cannot be used.
absl::Status UseCertificate(const std::string& certificate_file, const std::string& key_file,
                            boost::asio::ssl::context* context);
// A client's: the server is verified against the authorities of that file, or the system's where it
// is "".
absl::Status TrustAuthorities(const std::string& ca_file, boost::asio::ssl::context* context);

}  // namespace viaduct::websocket
