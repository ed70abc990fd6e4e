#include "host/services/node_service.h"

#include "host/rpc/call.h"
#include "host/rpc/convert.h"

namespace viaduct {
namespace {

namespace pb = control::v1;

}  // namespace

grpc::ServerUnaryReactor* NodeService::GetInfo(grpc::CallbackServerContext* context,
                                               const pb::NodeGetInfoRequest* /*request*/,
                                               pb::NodeGetInfoResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Node/GetInfo")) {
    return rpc::Answer(context, *std::move(refused));
  }
  *response->mutable_node() = deps_->node.info();
  return rpc::Answer(context, grpc::Status::OK);
}

grpc::ServerUnaryReactor* NodeService::Drain(grpc::CallbackServerContext* context,
                                             const pb::NodeDrainRequest* request,
                                             pb::NodeDrainResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Node/Drain")) {
    return rpc::Answer(context, *std::move(refused));
  }
  rpc::Violations violations;
  const absl::Duration limit =
      rpc::ReadDuration(request->has_deadline(), request->deadline(),
                        {kDefaultDrain, absl::ZeroDuration(), kMaxDrain}, "deadline", &violations);
  if (!violations.empty()) return rpc::Answer(context, violations.ToStatus("Node.Drain"));
  const std::string author = deps_->gate->Describe(*context);
  return rpc::RunOn(deps_->drains, context, [this, author, request, response, limit] {
    const NodeActions::Drained drained = deps_->node.drain(limit);
    response->set_drained(drained.complete);
    response->set_spooled(drained.spooled);
    Audit(*deps_, author, "Node.Drain", "", absl::OkStatus());
    if (request->stop()) deps_->node.stop();
    return grpc::Status::OK;
  });
}

grpc::ServerWriteReactor<pb::NodeWatchResponse>* NodeService::Watch(
    grpc::CallbackServerContext* context, const pb::NodeWatchRequest* /*request*/) {
  constexpr std::string_view kMethod = "viaduct.control.v1.Node/Watch";
  if (auto refused = deps_->gate->Refuse(*context, kMethod)) {
    return rpc::RejectWatch<pb::NodeWatchResponse>(*std::move(refused));
  }
  return rpc::WhileAllowed(deps_->hub->WatchNode(deps_->node.info()),
                           deps_->gate->Standing(*context, kMethod));
}

}  // namespace viaduct
