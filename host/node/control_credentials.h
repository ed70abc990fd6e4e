// Mutual TLS of gRPC whose certificate can be exchanged while the server runs.
#pragma once

#include <memory>

#include "host/node/control_certificates.h"

namespace grpc {
class ServerCredentials;
}

namespace viaduct {

// TLS 1.2 and newer with authenticated ciphers and fresh keys, which is what gRPC speaks. Every
// handshake begins with what `certificates` shows then; it outlives the server.
std::shared_ptr<grpc::ServerCredentials> MakeControlCredentials(ControlCertificates* certificates);

}  // namespace viaduct
