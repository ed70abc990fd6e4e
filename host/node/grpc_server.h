// The gRPC server of a node: control plane, gateway, health, reflection and channelz, on the Unix
// socket and, where configured, on TCP with mutual TLS.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/config/node_config.h"
#include "host/node/control_socket.h"
#include "host/rpc/gate.h"
#include "host/rpc/peers.h"

namespace grpc {
class Server;
class Service;
}  // namespace grpc

namespace viaduct {

// Thread-safe.
class GrpcServer {
 public:
  static constexpr int kMaxMessageBytes = 32 << 20;
  static constexpr int kMaxStreams = 256;           // Of one connection at once.
  static constexpr size_t kMaxMemory = 128u << 20;  // What gRPC may hold for all calls.
  static constexpr int kMaxThreads = 16;

  struct Options {
    std::vector<grpc::Service*> services;  // Outlive the server.
    std::unique_ptr<ControlSocket> socket;
    std::optional<ControlTcpOptions> tcp;
    rpc::Peers* peers = nullptr;
    rpc::Gate* gate = nullptr;  // Outlives the server.
  };

  // Serves as soon as it returns.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(Options options);
  // As Stop with no patience.
  ~GrpcServer();
  GrpcServer(const GrpcServer&) = delete;
  GrpcServer& operator=(const GrpcServer&) = delete;

  // grpc.health.v1: what `service` ("", "viaduct.node", "viaduct.instance/http") says.
  void SetServing(const std::string& service, bool serving);

  // Takes no new calls, waits up to `patience` for those under way, then cancels them.
  void Stop(absl::Duration patience);

  // Of TCP; 0 without.
  int tcp_port() const { return tcp_port_; }

 private:
  explicit GrpcServer(std::unique_ptr<ControlSocket> socket);

  std::unique_ptr<ControlSocket> socket_;
  std::unique_ptr<grpc::Server> server_;
  int tcp_port_ = 0;
  absl::Mutex serving_mutex_;
  std::map<std::string, bool> serving_ ABSL_GUARDED_BY(serving_mutex_);  // What health was told.
};

}  // namespace viaduct
