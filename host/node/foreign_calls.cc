#include "host/node/foreign_calls.h"

#include <grpcpp/support/server_interceptor.h>

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace viaduct {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::InterceptorBatchMethods;
using grpc::experimental::ServerRpcInfo;

constexpr std::string_view kReflectionPath = "/grpc.reflection.";
constexpr std::string_view kChannelzPath = "/grpc.channelz.";
// Their rows of the table of permissions.
constexpr std::string_view kReflection =
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
constexpr std::string_view kChannelz = "grpc.channelz.v1.Channelz/*";

// "" for a method that asks by itself, or that anybody may call.
std::string_view RowOf(std::string_view method) {
  if (method.substr(0, kReflectionPath.size()) == kReflectionPath) return kReflection;
  return method.substr(0, kChannelzPath.size()) == kChannelzPath ? kChannelz : "";
}

class Asker final : public grpc::experimental::Interceptor {
 public:
  Asker(rpc::Gate* gate, ServerRpcInfo* call) : gate_(gate), call_(call) {}

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_INITIAL_METADATA) &&
        gate_->Refuse(*call_->server_context(), RowOf(call_->method())).has_value()) {
      call_->server_context()->TryCancel();
    }
    methods->Proceed();
  }

 private:
  rpc::Gate* const gate_;
  ServerRpcInfo* const call_;
};

class Factory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit Factory(rpc::Gate* gate) : gate_(gate) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(ServerRpcInfo* call) override {
    return RowOf(call->method()).empty() ? nullptr : new Asker(gate_, call);
  }

 private:
  rpc::Gate* const gate_;
};

}  // namespace

void GuardForeignCalls(rpc::Gate* gate, grpc::ServerBuilder* builder) {
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> factories;
  factories.push_back(std::make_unique<Factory>(gate));
  builder->experimental().SetInterceptorCreators(std::move(factories));
}

}  // namespace viaduct
