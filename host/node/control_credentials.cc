#include "host/node/control_credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpcpp/security/server_credentials.h>

#include <optional>
#include <string>

namespace viaduct {
namespace {

// For the next handshake; gRPC asks one at a time, and goes on with what it had when what it is
// given is of no use.
grpc_ssl_certificate_config_reload_status Fetch(void* user,
                                                grpc_ssl_server_certificate_config** config) {
  const std::optional<security::ListenerPem> pem =
      static_cast<ControlCertificates*>(user)->TakeNew();
  if (!pem.has_value()) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
  const grpc_ssl_pem_key_cert_pair pair = {pem->key.c_str(), pem->certificate.c_str()};
  *config = grpc_ssl_server_certificate_config_create(pem->client_ca.c_str(), &pair, 1);
  return *config != nullptr ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW
                            : GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
}

// gRPC's own FileWatcherCertificateProvider takes files that do not fit together, and then no
// handshake succeeds: its C interface asks instead.
class ControlCredentials final : public grpc::ServerCredentials {
 public:
  explicit ControlCredentials(ControlCertificates* certificates) : certificates_(certificates) {}

  // Who may do what is decided above gRPC.
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    grpc_server_credentials* const credentials = grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, &Fetch, certificates_));
    const int port = grpc_server_add_http2_port(server, address.c_str(), credentials);
    grpc_server_credentials_release(credentials);
    return port;
  }

  ControlCertificates* const certificates_;
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> MakeControlCredentials(ControlCertificates* certificates) {
  return std::make_shared<ControlCredentials>(certificates);
}

}  // namespace viaduct
