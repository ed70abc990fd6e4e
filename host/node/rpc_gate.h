// The gate of a node that asks who calls.
#pragma once

#include <string>
#include <string_view>

#include "core/base/clock.h"
#include "core/lpr/gatekeeper.h"
#include "host/rpc/gate.h"

namespace viaduct {

// Credentials of a call: "x-api-key" and "authorization: Bearer" of its metadata, the client's
// certificate, or the user of the process behind the control socket. Passwords are not taken: they
// cost too much for the threads of gRPC. Thread-safe.
class GuardedGate final : public rpc::Gate {
 public:
  // All outlive it.
  GuardedGate(const rpc::Peers* peers, Gatekeeper* gatekeeper, const Clock* clock)
      : peers_(peers), gatekeeper_(gatekeeper), clock_(clock) {}

  std::optional<grpc::Status> Refuse(const grpc::ServerContextBase& context,
                                     std::string_view method) override;
  std::optional<grpc::Status> RefuseCommand(const grpc::ServerContextBase& context,
                                            std::string_view command) override;
  rpc::PrincipalPtr Caller(const grpc::ServerContextBase& context) override;
  std::string Describe(const grpc::ServerContextBase& context) override;

 private:
  Peer PeerOf(const grpc::ServerContextBase& context) const;

  const rpc::Peers* const peers_;
  Gatekeeper* const gatekeeper_;
  const Clock* const clock_;
};

}  // namespace viaduct
