#include "host/services/instances_service.h"

#include <utility>

#include "host/rpc/call.h"
#include "host/rpc/convert.h"
#include "host/rpc/describe.h"

namespace viaduct {
namespace {

namespace pb = control::v1;

}  // namespace

grpc::ServerUnaryReactor* InstancesService::List(grpc::CallbackServerContext* context,
                                                 const pb::InstancesListRequest* /*request*/,
                                                 pb::InstancesListResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Instances/List")) {
    return rpc::Answer(context, *std::move(refused));
  }
  for (const auto& info : deps_->instances->List()) {
    *response->add_instances() = rpc::ToProto(info);
  }
  return rpc::Answer(context, grpc::Status::OK);
}

grpc::ServerUnaryReactor* InstancesService::Get(grpc::CallbackServerContext* context,
                                                const pb::InstancesGetRequest* request,
                                                pb::InstancesGetResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Instances/Get")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (request->name().empty()) {
    rpc::Violations violations;
    violations.Add("name", "missing");
    return rpc::Answer(context, violations.ToStatus("Instances.Get"));
  }
  auto info = deps_->instances->Get(request->name());
  if (!info.ok()) return rpc::Answer(context, rpc::ToGrpc(info.status()));
  *response->mutable_instance() = rpc::ToProto(*info);
  // Only the configuration knows which of its values are secrets.
  const NodeConfig config = deps_->config->running();
  for (const auto& instance : config.instances) {
    if (instance.name == request->name()) response->set_config_json(instance.redacted_json);
  }
  return rpc::Answer(context, grpc::Status::OK);
}

grpc::ServerUnaryReactor* InstancesService::Change(Executor* executor,
                                                   grpc::CallbackServerContext* context,
                                                   const char* method, const std::string& name,
                                                   std::function<absl::Status()> change,
                                                   pb::Instance* shown) {
  if (name.empty()) {
    rpc::Violations violations;
    violations.Add("name", "missing");
    return rpc::Answer(context, violations.ToStatus(method));
  }
  const std::string author = deps_->gate->Describe(*context);
  return rpc::RunOn(executor, context,
                    [this, author, method, name, change = std::move(change), shown] {
                      absl::Status status = change();
                      Audit(*deps_, author, method, name, status);
                      if (!status.ok()) return rpc::ToGrpc(status);
                      auto info = deps_->instances->Get(name);
                      if (info.ok()) *shown = rpc::ToProto(*info);
                      return rpc::ToGrpc(info.status());
                    });
}

grpc::ServerUnaryReactor* InstancesService::Start(grpc::CallbackServerContext* context,
                                                  const pb::InstancesStartRequest* request,
                                                  pb::InstancesStartResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Instances/Start")) {
    return rpc::Answer(context, *std::move(refused));
  }
  return Change(
      deps_->commands, context, "Instances.Start", request->name(),
      [this, request] { return deps_->instances->Start(request->name()); },
      response->mutable_instance());
}

grpc::ServerUnaryReactor* InstancesService::Stop(grpc::CallbackServerContext* context,
                                                 const pb::InstancesStopRequest* request,
                                                 pb::InstancesStopResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Instances/Stop")) {
    return rpc::Answer(context, *std::move(refused));
  }
  return Change(
      deps_->commands, context, "Instances.Stop", request->name(),
      [this, request] { return deps_->instances->Stop(request->name()); },
      response->mutable_instance());
}

grpc::ServerUnaryReactor* InstancesService::Drain(grpc::CallbackServerContext* context,
                                                  const pb::InstancesDrainRequest* request,
                                                  pb::InstancesDrainResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Instances/Drain")) {
    return rpc::Answer(context, *std::move(refused));
  }
  rpc::Violations violations;
  const absl::Duration limit =
      rpc::ReadDuration(request->has_deadline(), request->deadline(),
                        {kDefaultDrain, absl::ZeroDuration(), kMaxDrain}, "deadline", &violations);
  if (!violations.empty()) return rpc::Answer(context, violations.ToStatus("Instances.Drain"));
  return Change(
      deps_->drains, context, "Instances.Drain", request->name(),
      [this, request, limit] { return deps_->instances->Drain(request->name(), limit); },
      response->mutable_instance());
}

grpc::ServerUnaryReactor* InstancesService::Restart(grpc::CallbackServerContext* context,
                                                    const pb::InstancesRestartRequest* request,
                                                    pb::InstancesRestartResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Instances/Restart")) {
    return rpc::Answer(context, *std::move(refused));
  }
  return Change(
      deps_->commands, context, "Instances.Restart", request->name(),
      [this, request] { return deps_->instances->Restart(request->name()); },
      response->mutable_instance());
}

grpc::ServerWriteReactor<pb::InstancesWatchResponse>* InstancesService::Watch(
    grpc::CallbackServerContext* context, const pb::InstancesWatchRequest* request) {
  constexpr std::string_view kMethod = "viaduct.control.v1.Instances/Watch";
  if (auto refused = deps_->gate->Refuse(*context, kMethod)) {
    return rpc::RejectWatch<pb::InstancesWatchResponse>(*std::move(refused));
  }
  return rpc::WhileAllowed(deps_->hub->WatchInstances(*request),
                           deps_->gate->Standing(*context, kMethod));
}

}  // namespace viaduct
