#include "host/node/grpc_server.h"

#include <grpcpp/ext/channelz_service_plugin.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_posix.h>

#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status_macros.h"
#include "grpc/health/v1/health.pb.h"

namespace viaduct {
namespace {

constexpr int kKeepaliveMs = 60'000;
constexpr int kKeepaliveTimeoutMs = 20'000;
constexpr int kMinPingIntervalMs = 10'000;
constexpr int kHandshakeTimeoutMs = 10'000;
constexpr int kMaxMetadataBytes = 16 << 10;

absl::StatusOr<std::string> ReadPem(const std::string& path, const char* what) {
  std::ifstream file(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file || text.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("control.tcp.", what, ": ", path, " cannot be read or is empty"));
  }
  return text;
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MutualTls(
    const ControlTcpOptions& options) {
  grpc::SslServerCredentialsOptions tls(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  grpc::SslServerCredentialsOptions::PemKeyCertPair pair;
  VD_ASSIGN_OR_RETURN(pair.cert_chain, ReadPem(options.certificate, "certificate"));
  VD_ASSIGN_OR_RETURN(pair.private_key, ReadPem(options.key, "key"));
  VD_ASSIGN_OR_RETURN(tls.pem_root_certs, ReadPem(options.client_ca, "client_ca"));
  tls.pem_key_cert_pairs.push_back(std::move(pair));
  return grpc::SslServerCredentials(tls);
}

void SetLimits(grpc::ServerBuilder* builder) {
  grpc::ResourceQuota quota("viaduct");
  quota.Resize(GrpcServer::kMaxMemory).SetMaxThreads(GrpcServer::kMaxThreads);
  builder->SetResourceQuota(quota);
  builder->SetMaxReceiveMessageSize(GrpcServer::kMaxMessageBytes);
  builder->SetMaxSendMessageSize(GrpcServer::kMaxMessageBytes);
  // Only reflection and channelz are synchronous.
  builder->SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder->SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder->SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, GrpcServer::kMaxStreams);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                              kMinPingIntervalMs);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
}

}  // namespace

GrpcServer::GrpcServer(std::unique_ptr<ControlSocket> socket) : socket_(std::move(socket)) {}

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(Options options) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::channelz::experimental::InitChannelzService();
  // gRPC brings the health service without its description, which reflection shows.
  static_cast<void>(grpc::health::v1::HealthCheckRequest::descriptor());
  grpc::ServerBuilder builder;
  SetLimits(&builder);
  for (grpc::Service* service : options.services) builder.RegisterService(service);
  std::unique_ptr<GrpcServer> server(new GrpcServer(std::move(options.socket)));
  if (options.tcp.has_value()) {
    VD_ASSIGN_OR_RETURN(auto credentials, MutualTls(*options.tcp));
    builder.AddListeningPort(options.tcp->listen, credentials, &server->tcp_port_);
  }
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr) {
    return absl::UnavailableError(
        options.tcp.has_value()
            ? absl::StrCat("control.tcp.listen: cannot listen on ", options.tcp->listen,
                           ", it is in use or the certificates do not fit")
            : "control: the gRPC server does not start");
  }
  if (server->socket_ != nullptr) {
    server->socket_->Start([raw = server->server_.get(),
                            peers = options.peers](const ControlSocket::Accepted& accepted) {
      peers->Add(accepted.descriptor, {accepted.uid, accepted.pid});
      grpc::AddInsecureChannelFromFd(raw, accepted.descriptor);
    });
  }
  return server;
}

GrpcServer::~GrpcServer() { Stop(absl::ZeroDuration()); }

void GrpcServer::SetServing(const std::string& service, bool serving) {
  auto* health = server_->GetHealthCheckService();
  if (health == nullptr) return;
  // gRPC tells every watcher whatever is set, changed or not. Under the lock, so that two that
  // differ arrive in the order in which they were noted.
  absl::MutexLock lock(&serving_mutex_);
  const auto [known, added] = serving_.emplace(service, serving);
  if (!added && std::exchange(known->second, serving) == serving) return;
  health->SetServingStatus(service, serving);
}

void GrpcServer::Stop(absl::Duration patience) {
  if (socket_ != nullptr) socket_->Stop();
  if (server_ != nullptr) server_->Shutdown(absl::ToChronoTime(absl::Now() + patience));
}

}  // namespace viaduct
