// The gate of a node that asks who calls.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "core/base/clock.h"
#include "core/lpr/gatekeeper.h"
#include "core/lpr/masking.h"
#include "host/rpc/gate.h"

namespace viaduct {

// Credentials of a call: "x-api-key" and "authorization: Bearer" of its metadata, the client's
// certificate, or the user of the process behind the control socket. Passwords are not taken: they
// cost too much for the threads of gRPC. Thread-safe.
class GuardedGate final : public rpc::Gate {
 public:
  // All outlive it.
  GuardedGate(const rpc::Peers* peers, Gatekeeper* gatekeeper, const Clock* clock, PlateMask mask)
      : peers_(peers), gatekeeper_(gatekeeper), clock_(clock), mask_(std::move(mask)) {}

  std::optional<grpc::Status> Refuse(const grpc::ServerContextBase& context,
                                     std::string_view method) override;
  std::optional<grpc::Status> RefuseCommand(const grpc::ServerContextBase& context,
                                            std::string_view command) override;
  bool asks() const override { return true; }
  uint64_t changes() const override { return gatekeeper_->changes(); }
  rpc::PrincipalPtr Caller(const grpc::ServerContextBase& context) override;
  rpc::StandingFn Standing(const grpc::ServerContextBase& context,
                           std::string_view method) override;
  std::string Describe(const grpc::ServerContextBase& context) override;

  // A token or certificate that ends says so to nobody.
  static constexpr absl::Duration kStandingAge = absl::Minutes(1);

 private:
  absl::Status Check(const security::Principal* who, std::string_view method) const;
  Peer PeerOf(const grpc::ServerContextBase& context) const;

  const rpc::Peers* const peers_;
  Gatekeeper* const gatekeeper_;
  const Clock* const clock_;
  const PlateMask mask_;  // Whom it applies to sees no messages, which have plates in them.
};

}  // namespace viaduct
