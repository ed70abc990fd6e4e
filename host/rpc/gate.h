// Who may make which call. Every handler of ours asks first.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/security/principal.h"
#include "host/rpc/peers.h"
#include "host/rpc/status.h"
#include "host/rpc/watch_stream.h"

namespace viaduct::rpc {

using PrincipalPtr = std::shared_ptr<const security::Principal>;

// What a stream ends with whose caller is nobody any more.
inline grpc::Status AcceptedNoLonger() {
  return ToGrpc(absl::UnauthenticatedError("credentials: accepted no longer"));
}

// Thread-safe; outlives the server.
class Gate {
 public:
  virtual ~Gate() = default;

  // Nothing: it may. `method` is a row of core/security's table, "viaduct.control.v1.Node/Drain".
  // What a device may do with its own is asked again, by PrincipalPtr, where it is known whose it
  // is; whoever has no row at all is refused.
  virtual std::optional<grpc::Status> Refuse(const grpc::ServerContextBase& context,
                                             std::string_view method) = 0;
  // The same for a command that a call brings to a device.
  virtual std::optional<grpc::Status> RefuseCommand(const grpc::ServerContextBase& context,
                                                    std::string_view command) = 0;
  // False: nobody is asked here.
  virtual bool asks() const = 0;
  // Who calls: for messages that are handed on. Null: nobody is asked here; or the credentials hold
  // no more.
  virtual PrincipalPtr Caller(const grpc::ServerContextBase& context) = 0;
  // Counts changes of keys and users: whoever goes on for long asks Caller anew after one.
  virtual uint64_t changes() const = 0;
  // What Refuse would say later on of a call that it has let in, without the context and without
  // being counted; cheap as long as nothing has changed. Null: nobody is asked here.
  virtual StandingFn Standing(const grpc::ServerContextBase& context, std::string_view method) = 0;
  // For logs and the audit; never a secret.
  virtual std::string Describe(const grpc::ServerContextBase& context) = 0;
};

// Of a node that asks nobody: who reaches it may do everything.
class OpenGate : public Gate {
 public:
  explicit OpenGate(const Peers* peers) : peers_(peers) {}

  std::optional<grpc::Status> Refuse(const grpc::ServerContextBase& /*context*/,
                                     std::string_view /*method*/) override {
    return std::nullopt;
  }
  std::optional<grpc::Status> RefuseCommand(const grpc::ServerContextBase& /*context*/,
                                            std::string_view /*command*/) override {
    return std::nullopt;
  }
  bool asks() const override { return false; }
  uint64_t changes() const override { return 0; }
  PrincipalPtr Caller(const grpc::ServerContextBase& /*context*/) override { return nullptr; }
  StandingFn Standing(const grpc::ServerContextBase& /*context*/,
                      std::string_view /*method*/) override {
    return nullptr;
  }
  std::string Describe(const grpc::ServerContextBase& context) override {
    return peers_->Describe(context);
  }

 private:
  const Peers* const peers_;
};

}  // namespace viaduct::rpc
