// viaduct.control.v1.Plugins.
#pragma once

#include "host/services/deps.h"
#include "viaduct/control/v1/plugins.grpc.pb.h"

namespace viaduct {

// Thread-safe.
class PluginsService final : public control::v1::Plugins::CallbackService {
 public:
  explicit PluginsService(const ServiceDeps* deps) : deps_(deps) {}

  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const control::v1::PluginsListRequest* request,
                                 control::v1::PluginsListResponse* response) override;
  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context,
                                     const control::v1::PluginsDescribeRequest* request,
                                     control::v1::PluginsDescribeResponse* response) override;
  grpc::ServerUnaryReactor* Load(grpc::CallbackServerContext* context,
                                 const control::v1::PluginsLoadRequest* request,
                                 control::v1::PluginsLoadResponse* response) override;
  grpc::ServerUnaryReactor* Reload(grpc::CallbackServerContext* context,
                                   const control::v1::PluginsReloadRequest* request,
                                   control::v1::PluginsReloadResponse* response) override;
  grpc::ServerUnaryReactor* Unload(grpc::CallbackServerContext* context,
                                   const control::v1::PluginsUnloadRequest* request,
                                   control::v1::PluginsUnloadResponse* response) override;

 private:
  control::v1::Plugin Show(const PluginInfo& info) const;

  const ServiceDeps* const deps_;
};

}  // namespace viaduct
