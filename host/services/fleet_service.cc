#include "host/services/fleet_service.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "host/rpc/call.h"
#include "host/rpc/convert.h"

namespace viaduct {
namespace {

namespace pb = control::v1;
using google::protobuf::util::JsonStringToMessage;
using google::protobuf::util::MessageToJsonString;

constexpr absl::Duration kStrandPatience = absl::Seconds(5);

bool HasPrefix(const std::string& id, const std::string& prefix) {
  return absl::StartsWith(id, prefix);
}

// What is no object stands under "value".
absl::Status ReadResult(const std::string& json, google::protobuf::Struct* out) {
  if (json.empty() || json == "null") return absl::OkStatus();
  const std::string object = json.front() == '{' ? json : absl::StrCat("{\"value\":", json, "}");
  const auto status = JsonStringToMessage(object, out);
  if (status.ok()) return absl::OkStatus();
  return absl::UnknownError("answer: its result cannot be shown, it is nested too deeply");
}

grpc::Status FillAnswer(const OrderResult& result, pb::FleetSendControlResponse* response) {
  if (!result.status.ok()) return rpc::ToGrpc(result.status);
  response->set_ok(result.answer.success);
  response->set_status(result.answer.status);
  response->set_error(result.answer.error);
  response->set_road(result.road);
  response->set_protocol(result.protocol);
  *response->mutable_round_trip() = rpc::ToProto(result.round_trip);
  response->set_message_id(result.message_id);
  return rpc::ToGrpc(ReadResult(result.answer.result_json, response->mutable_result()));
}

bool IsStatus(pb::NodeStatus status) {
  return status == pb::NODE_STATUS_UNSPECIFIED || status == pb::NODE_STATUS_ONLINE ||
         status == pb::NODE_STATUS_OFFLINE;
}

}  // namespace

FleetService::FleetService(const ServiceDeps* deps, Fleet* fleet, Store* store, ToldFn told)
    : deps_(deps),
      fleet_(fleet),
      store_(store),
      told_(std::move(told)),
      strand_(std::make_shared<Strand>(deps->executor, Strand::Options())) {}

void FleetService::Stop(const grpc::Status& why) {
  fleet_->Close();
  strand_->Close(kStrandPatience);
  watchers_.CloseAll(why);
}

// ---- nodes

void FleetService::AddRoads(const DeviceState& state, pb::FleetNode* node) {
  node->set_version(state.facts.version);
  if (!state.facts.hostname.empty()) node->set_hostname(state.facts.hostname);
  for (const DeviceRoad& road : state.roads) {
    pb::DeviceRoad* out = node->add_roads();
    out->set_name(road.instance);
    out->set_protocol(road.protocol);
    out->set_address(road.address);
    *out->mutable_since() = rpc::ToProto(road.since);
    if (road.round_trip > absl::ZeroDuration()) {
      *out->mutable_round_trip() = rpc::ToProto(road.round_trip);
    }
  }
  if (!state.roads.empty()) node->set_status(pb::NODE_STATUS_ONLINE);
}

pb::FleetNode FleetService::NodeOf(const DeviceRow& row) const {
  const absl::Time now = deps_->clock->Now();
  pb::FleetNode node;
  node.set_id(row.device_id);
  node.set_hostname(row.hostname);
  node.set_address(row.ip_address);
  node.set_stated(row.status);
  node.set_checkpoint_id(row.checkpoint_id);
  const bool seen = row.last_seen != absl::InfinitePast();
  if (seen) *node.mutable_last_seen() = rpc::ToProto(row.last_seen);
  const bool lately = seen && now - row.last_seen <= kHeardWindow && row.status != "offline";
  node.set_status(lately ? pb::NODE_STATUS_ONLINE : pb::NODE_STATUS_OFFLINE);
  const auto state = fleet_->roads().Find(row.device_id, now);
  if (state.has_value()) AddRoads(*state, &node);
  return node;
}

bool FleetService::ReadNode(const std::string& device_id, pb::FleetNode* node) const {
  if (store_ != nullptr) {
    const auto row = store_->GetDevice(device_id);
    if (row.ok()) {
      *node = NodeOf(*row);
      return true;
    }
  }
  node->set_id(device_id);
  node->set_status(pb::NODE_STATUS_OFFLINE);
  const auto state = fleet_->roads().Find(device_id, deps_->clock->Now());
  if (!state.has_value()) return false;
  AddRoads(*state, node);
  return true;
}

// A node without a store knows only who can be reached.
absl::Status FleetService::ForEachReachable(const Scan& scan, const EachFn& each) const {
  for (const DeviceState& state : fleet_->roads().List(deps_->clock->Now())) {
    if (state.device_id <= scan.after || !HasPrefix(state.device_id, scan.prefix)) continue;
    pb::FleetNode node;
    node.set_id(state.device_id);
    AddRoads(state, &node);
    if (!each(node)) return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status FleetService::ForEachNode(Scan* scan, const EachFn& each) const {
  if (store_ == nullptr) {
    scan->more = false;
    return ForEachReachable(*scan, each);
  }
  // Ids that begin with the prefix stand together, behind the prefix itself.
  if (scan->after.empty() && !scan->prefix.empty()) {
    const auto exact = store_->GetDevice(scan->prefix);
    if (exact.ok() && !each(NodeOf(*exact))) return absl::OkStatus();
    scan->after = scan->prefix;
  }
  for (int i = 0; i < scan->max_pages; ++i) {
    VD_ASSIGN_OR_RETURN(const DevicesPage page, store_->ListDevices(kMaxPageRows, scan->after));
    for (const DeviceRow& row : page.rows) {
      if (!HasPrefix(row.device_id, scan->prefix)) {
        scan->more = false;
        return absl::OkStatus();
      }
      scan->after = row.device_id;
      if (!each(NodeOf(row))) return absl::OkStatus();
    }
    if (page.next_cursor.empty()) {
      scan->more = false;
      return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* FleetService::ListNodes(grpc::CallbackServerContext* context,
                                                  const pb::FleetListNodesRequest* request,
                                                  pb::FleetListNodesResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Fleet/ListNodes")) {
    return rpc::Answer(context, *std::move(refused));
  }
  rpc::Violations violations;
  if (request->page_size() > kMaxPage) {
    violations.Add("page_size", absl::StrCat("at most ", kMaxPage, ", got ", request->page_size()));
  }
  if (!IsStatus(request->status())) {
    violations.Add("status", absl::StrCat("expected ONLINE or OFFLINE, got ",
                                          static_cast<int>(request->status())));
  }
  if (request->id_prefix().size() > kMaxPrefixBytes) {
    violations.Add("id_prefix", absl::StrCat("at most ", kMaxPrefixBytes, " bytes"));
  }
  if (request->page_token().size() > kMaxPrefixBytes * 2) violations.Add("page_token", "is none");
  if (!violations.empty()) return rpc::Answer(context, violations.ToStatus("Fleet.ListNodes"));
  return rpc::RunOn(deps_->executor, context, [this, request, response] {
    const uint32_t wanted = request->page_size() == 0 ? kDefaultPage : request->page_size();
    Scan scan;
    scan.after = request->page_token();
    scan.prefix = request->id_prefix();
    bool full = false;
    std::string last;
    const absl::Status status = ForEachNode(&scan, [&](const pb::FleetNode& node) {
      const bool fits =
          request->status() == pb::NODE_STATUS_UNSPECIFIED || request->status() == node.status();
      full = fits && static_cast<uint32_t>(response->nodes_size()) == wanted;
      if (full) return false;
      if (fits) *response->add_nodes() = node;
      last = node.id();
      return true;
    });
    if (!status.ok()) return rpc::ToGrpc(status);
    if (full || scan.more) response->set_next_page_token(full ? last : scan.after);
    return grpc::Status::OK;
  });
}

// ---- orders

absl::Status FleetService::CheckKnown(const std::string& device_id) const {
  if (fleet_->roads().IsReachable(device_id, deps_->clock->Now())) return absl::OkStatus();
  if (store_ == nullptr) {
    return absl::NotFoundError(absl::StrCat("device \"", device_id, "\": unknown"));
  }
  return store_->GetDevice(device_id).status();
}

// Ends the order when its caller goes. Owned by gRPC until OnDone and by whoever ends it.
// Thread-safe.
class FleetService::OrderCall final : public grpc::ServerUnaryReactor {
 public:
  OrderCall(Fleet* fleet, grpc::CallbackServerContext* context, pb::FleetSendControlResponse* out)
      : fleet_(fleet), context_(context), response_(out) {}
  static std::shared_ptr<OrderCall> Create(Fleet* fleet, grpc::CallbackServerContext* context,
                                           pb::FleetSendControlResponse* out) {
    auto call = std::make_shared<OrderCall>(fleet, context, out);
    call->self_ = call;
    return call;
  }

  // What the caller still waits.
  absl::Duration left() const {
    return absl::FromChrono(context_->deadline()) -
           absl::FromChrono(std::chrono::system_clock::now());
  }
  // False: the caller has gone.
  bool wanted() const {
    absl::MutexLock lock(&mutex_);
    return !gone_;
  }
  void SetOrder(std::string message_id) {
    {
      absl::MutexLock lock(&mutex_);
      message_id_ = message_id;
      if (!gone_) return;
    }
    fleet_->Cancel(message_id);
  }
  void End(const OrderResult& result) { Finish(FillAnswer(result, response_)); }

  void OnCancel() override {
    std::string message_id;
    {
      absl::MutexLock lock(&mutex_);
      gone_ = true;
      message_id = message_id_;
    }
    if (!message_id.empty()) fleet_->Cancel(message_id);
  }
  void OnDone() override { const std::shared_ptr<OrderCall> last = std::move(self_); }

 private:
  Fleet* const fleet_;
  grpc::CallbackServerContext* const context_;  // Until Finish.
  pb::FleetSendControlResponse* const response_;
  std::shared_ptr<OrderCall> self_;
  mutable absl::Mutex mutex_;
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;
  std::string message_id_ ABSL_GUARDED_BY(mutex_);  // "" before it is given.
};

grpc::ServerUnaryReactor* FleetService::SendControl(grpc::CallbackServerContext* context,
                                                    const pb::FleetSendControlRequest* request,
                                                    pb::FleetSendControlResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Fleet/SendControl")) {
    return rpc::Answer(context, *std::move(refused));
  }
  rpc::Violations violations;
  Order order;
  order.timeout = rpc::ReadDuration(request->has_timeout(), request->timeout(),
                                    {kDefaultTimeout, Fleet::kMinTimeout, Fleet::kMaxTimeout},
                                    "timeout", &violations);
  if (request->device_id().empty()) violations.Add("device_id", "missing");
  if (request->command().empty()) violations.Add("command", "missing");
  if (request->command().size() > Fleet::kMaxCommandBytes) {
    violations.Add("command", absl::StrCat("at most ", Fleet::kMaxCommandBytes, " bytes"));
  }
  if (request->ByteSizeLong() > Fleet::kMaxArgumentBytes) {
    violations.Add("arguments", absl::StrCat("at most ", Fleet::kMaxArgumentBytes, " bytes"));
  }
  if (request->has_arguments() && violations.empty() &&
      !MessageToJsonString(request->arguments(), &order.arguments_json).ok()) {
    violations.Add("arguments", "cannot be written as JSON");
  }
  if (!violations.empty()) return rpc::Answer(context, violations.ToStatus("Fleet.SendControl"));
  if (auto refused = deps_->gate->RefuseCommand(*context, request->command())) {
    return rpc::Answer(context, *std::move(refused));
  }
  order.device_id = request->device_id();
  order.command = request->command();
  order.road = request->road();
  const std::string author = deps_->gate->Describe(*context);
  const auto call = OrderCall::Create(fleet_, context, response);
  const bool queued =
      deps_->executor->Submit([this, order = std::move(order), author, call]() mutable {
        Give(std::move(order), author, call);
      });
  if (!queued) {
    call->Finish(rpc::ToGrpc(
        absl::ResourceExhaustedError("control: too many calls are waiting, try again later")));
  }
  return call.get();
}

// What nobody waits for any more is not given.
void FleetService::Give(Order order, const std::string& author,
                        const std::shared_ptr<OrderCall>& call) {
  const std::string subject = absl::StrCat(order.device_id, " ", order.command);
  absl::Status status = CheckKnown(order.device_id);
  const absl::Duration left = call->left();
  if (!call->wanted()) {
    status = absl::CancelledError("fleet: the caller has gone, the order was not given");
  } else if (left < Fleet::kMinTimeout) {
    status = absl::DeadlineExceededError("fleet: no time is left, the order was not given");
  }
  if (!status.ok()) {
    Audit(*deps_, author, "Fleet.SendControl", subject, status);
    return call->Finish(rpc::ToGrpc(status));
  }
  order.timeout = std::min(order.timeout, left);
  call->SetOrder(fleet_->Send(std::move(order), [this, author, subject, call](OrderResult result) {
    absl::Status outcome = result.status;
    if (outcome.ok() && !result.answer.success) {
      outcome = absl::PermissionDeniedError(
          absl::StrCat("refused by the device, ", result.answer.status, " ", result.answer.error));
    }
    AuditThen(*deps_, author, "Fleet.SendControl", subject, outcome,
              [call, result = std::move(result)] { call->End(result); });
  }));
}

// ---- watching

grpc::ServerWriteReactor<pb::FleetWatchNodesResponse>* FleetService::WatchNodes(
    grpc::CallbackServerContext* context, const pb::FleetWatchNodesRequest* request) {
  constexpr std::string_view kMethod = "viaduct.control.v1.Fleet/WatchNodes";
  if (auto refused = deps_->gate->Refuse(*context, kMethod)) {
    return rpc::RejectWatch<pb::FleetWatchNodesResponse>(*std::move(refused));
  }
  if (request->id_prefix().size() > kMaxPrefixBytes) {
    rpc::Violations violations;
    violations.Add("id_prefix", absl::StrCat("at most ", kMaxPrefixBytes, " bytes"));
    return rpc::RejectWatch<pb::FleetWatchNodesResponse>(violations.ToStatus("Fleet.WatchNodes"));
  }
  auto stream = Watchers::Stream::Create(kMaxPending, [](uint64_t missed) {
    pb::FleetWatchNodesResponse response;
    response.mutable_lagged()->set_missed(missed);
    return response;
  });
  stream->SetStanding(deps_->gate->Standing(*context, kMethod));
  const std::string& prefix = request->id_prefix();
  absl::Status status = watchers_.Subscribe(stream, prefix, [](auto*) {});
  // The state is read where changes are told, so that neither overtakes the other.
  if (status.ok() && !strand_->Post([this, stream, prefix] { QueueState(prefix, stream); })) {
    status = absl::UnavailableError("fleet: too much is to be told, try again later");
  }
  if (!status.ok()) stream->Close(rpc::ToGrpc(status));
  return stream.get();
}

void FleetService::QueueState(const std::string& prefix, const Watchers::StreamPtr& stream) {
  Scan scan;
  scan.prefix = prefix;
  scan.max_pages = static_cast<int>(kMaxPending / kMaxPageRows) + 1;
  size_t nodes = 0;
  absl::Status status = ForEachNode(&scan, [&](const pb::FleetNode& node) {
    if (++nodes > kMaxPending) return false;
    pb::FleetWatchNodesResponse response;
    *response.mutable_node() = node;
    stream->Queue(std::move(response), node.id());
    return true;
  });
  if (status.ok() && (scan.more || nodes > kMaxPending)) {
    status = absl::ResourceExhaustedError(absl::StrCat(
        "fleet: more than ", kMaxPending, " nodes for one watch, choose some by id_prefix"));
  }
  if (!status.ok()) return stream->Close(rpc::ToGrpc(status));
  pb::FleetWatchNodesResponse synced;
  synced.mutable_synced();
  stream->Push(std::move(synced));
}

void FleetService::OnNews() {
  // Refused: it is looked at again with the next news or tick.
  strand_->Post([this] {
    for (const std::string& device_id : fleet_->roads().TakeNews()) Tell(device_id);
  });
}

void FleetService::Tell(const std::string& device_id) {
  pb::FleetNode node;
  const bool known = ReadNode(device_id, &node);
  if (!known && last_told_.count(device_id) == 0) return;
  // An address that was only heard of, and a row that another node writes, are no news.
  pb::FleetNode compared = node;
  compared.clear_last_seen();
  // Whether the row says so or its silence makes no difference.
  if (node.stated() == "online" || node.stated() == "offline") compared.clear_stated();
  for (pb::DeviceRoad& road : *compared.mutable_roads()) road.clear_round_trip();
  std::string text = compared.SerializeAsString();
  if (last_told_.size() >= DeviceRoads::kMaxDevices) last_told_.clear();
  std::string& last = last_told_[device_id];
  if (last == text) return;
  last = std::move(text);
  if (!known) last_told_.erase(device_id);  // That it is gone is the last that is told of it.
  pb::FleetWatchNodesResponse response;
  *response.mutable_node() = node;
  watchers_.Publish(response, device_id,
                    [&](const std::string& prefix) { return HasPrefix(device_id, prefix); });
  if (told_) told_(node);
}

}  // namespace viaduct
