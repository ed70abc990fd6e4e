#include "host/services/plugins_service.h"

#include "core/base/status_macros.h"
#include "host/rpc/call.h"
#include "host/rpc/describe.h"

namespace viaduct {
namespace {

namespace pb = control::v1;

grpc::Status Missing(const char* method, const char* field) {
  rpc::Violations violations;
  violations.Add(field, "missing");
  return violations.ToStatus(method);
}

}  // namespace

pb::Plugin PluginsService::Show(const PluginInfo& info) const {
  pb::Plugin plugin = rpc::ToProto(info);
  for (const auto& name : deps_->instances->UsersOf(info.name)) plugin.add_instances(name);
  return plugin;
}

grpc::ServerUnaryReactor* PluginsService::List(grpc::CallbackServerContext* context,
                                               const pb::PluginsListRequest* /*request*/,
                                               pb::PluginsListResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Plugins/List")) {
    return rpc::Answer(context, *std::move(refused));
  }
  return rpc::RunOn(deps_->commands, context, [this, response] {
    deps_->plugins->Scan();  // Also what was put there since the start.
    for (const auto& info : deps_->plugins->List()) *response->add_plugins() = Show(info);
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* PluginsService::Describe(grpc::CallbackServerContext* context,
                                                   const pb::PluginsDescribeRequest* request,
                                                   pb::PluginsDescribeResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Plugins/Describe")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (request->name().empty()) return rpc::Answer(context, Missing("Plugins.Describe", "name"));
  return rpc::RunOn(deps_->commands, context, [this, request, response] {
    auto info = deps_->plugins->Describe(request->name());
    if (!info.ok()) return rpc::ToGrpc(info.status());
    *response->mutable_plugin() = Show(*info);
    response->set_config_schema(info->config_schema);
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* PluginsService::Load(grpc::CallbackServerContext* context,
                                               const pb::PluginsLoadRequest* request,
                                               pb::PluginsLoadResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Plugins/Load")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (request->path().empty()) return rpc::Answer(context, Missing("Plugins.Load", "path"));
  const std::string author = deps_->gate->Describe(*context);
  return rpc::RunOn(deps_->commands, context, [this, author, request, response] {
    auto info = deps_->plugins->Load(request->path());
    Audit(*deps_, author, "Plugins.Load", request->path(), info.status());
    if (!info.ok()) {
      deps_->hub->PublishEvent(pb::EVENT_KIND_PLUGIN_FAILED, request->path(),
                               info.status().ToString());
      return rpc::ToGrpc(info.status());
    }
    deps_->hub->PublishEvent(pb::EVENT_KIND_PLUGIN_LOADED, info->name, info->version);
    *response->mutable_plugin() = Show(*info);
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* PluginsService::Reload(grpc::CallbackServerContext* context,
                                                 const pb::PluginsReloadRequest* request,
                                                 pb::PluginsReloadResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Plugins/Reload")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (request->name().empty()) return rpc::Answer(context, Missing("Plugins.Reload", "name"));
  const std::string author = deps_->gate->Describe(*context);
  return rpc::RunOn(deps_->commands, context, [this, author, request, response] {
    auto info = deps_->plugins->Reload(request->name());
    absl::Status status = info.status();
    if (status.ok()) status = deps_->instances->RestartPlugin(request->name());
    Audit(*deps_, author, "Plugins.Reload", request->name(), status);
    if (!status.ok()) return rpc::ToGrpc(status);
    deps_->hub->PublishEvent(pb::EVENT_KIND_PLUGIN_LOADED, info->name, info->version);
    *response->mutable_plugin() = Show(*info);
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* PluginsService::Unload(grpc::CallbackServerContext* context,
                                                 const pb::PluginsUnloadRequest* request,
                                                 pb::PluginsUnloadResponse* /*response*/) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Plugins/Unload")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (request->name().empty()) return rpc::Answer(context, Missing("Plugins.Unload", "name"));
  const std::string author = deps_->gate->Describe(*context);
  return rpc::RunOn(deps_->commands, context, [this, author, request] {
    absl::Status status = deps_->plugins->Unload(request->name());
    Audit(*deps_, author, "Plugins.Unload", request->name(), status);
    if (status.ok()) {
      deps_->hub->PublishEvent(pb::EVENT_KIND_PLUGIN_UNLOADED, request->name(), "");
    }
    return rpc::ToGrpc(status);
  });
}

}  // namespace viaduct
