#include "plugins/websocket/tls.h"

#include <openssl/ssl.h>

#include "absl/strings/str_cat.h"

namespace viaduct::websocket {
namespace {

using Context = boost::asio::ssl::context;
using Error = boost::system::error_code;

absl::Status Unusable(const char* what, const std::string& file, const Error& error) {
  return absl::InvalidArgumentError(absl::StrCat(what, ": ", file, ", ", error.message()));
}

// docs/WIRE.md promises 1.3; a client may meet servers of others.
constexpr int kOldestOfServer = TLS1_3_VERSION;
constexpr int kOldestOfClient = TLS1_2_VERSION;

void Restrict(int oldest, Context* context) {
  SSL_CTX_set_min_proto_version(context->native_handle(), oldest);
  // An idle connection keeps no buffers of OpenSSL's.
  SSL_CTX_set_mode(context->native_handle(), SSL_MODE_RELEASE_BUFFERS);
}

}  // namespace

absl::Status UseCertificate(const std::string& certificate_file, const std::string& key_file,
                            Context* context) {
  Restrict(kOldestOfServer, context);
  Error error;
  context->use_certificate_chain_file(certificate_file, error);
  if (error) return Unusable("certificate", certificate_file, error);
  context->use_private_key_file(key_file, Context::pem, error);
  if (error) return Unusable("key", key_file, error);
  return absl::OkStatus();
}

absl::Status TrustAuthorities(const std::string& ca_file, Context* context) {
  Restrict(kOldestOfClient, context);
  Error error;
  context->set_verify_mode(boost::asio::ssl::verify_peer, error);
  ca_file.empty() ? context->set_default_verify_paths(error)
                  : context->load_verify_file(ca_file, error);
  return error ? Unusable("ca_file", ca_file, error) : absl::OkStatus();
}

}  // namespace viaduct::websocket
