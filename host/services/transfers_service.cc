#include "host/services/transfers_service.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "host/rpc/call.h"
#include "host/rpc/convert.h"

namespace viaduct {
namespace {

namespace pb = control::v1;

grpc::Status NoTransfers() {
  return rpc::ToGrpc(
      absl::FailedPreconditionError("transfers: this node sends no files (see node.sinks)"));
}

bool IsWanted(const std::vector<std::string>& devices, const std::string& device) {
  return devices.empty() || std::find(devices.begin(), devices.end(), device) != devices.end();
}

// The numbers of the core are those of the .proto, less the UNSPECIFIED.
pb::TransferState ToProto(TransferState state) {
  return static_cast<pb::TransferState>(static_cast<int>(state) + 1);
}

pb::Transfer ToProto(const Transfer& transfer) {
  pb::Transfer out;
  out.set_transfer_id(transfer.id);
  out.set_sequence(static_cast<uint64_t>(transfer.sequence));
  out.set_edge_device_id(transfer.device);
  out.set_local_path(transfer.local_path);
  out.set_remote_name(transfer.remote_name);
  out.set_size(transfer.size);
  out.set_sha256(transfer.sha256);
  out.set_priority(std::string(PriorityName(transfer.priority)));
  out.set_kind(transfer.kind);
  out.set_index(transfer.index);
  out.set_message_id(transfer.message_id);
  out.set_state(ToProto(transfer.state));
  out.set_attempts(transfer.attempts);
  out.set_last_error(transfer.last_error);
  out.set_road(transfer.road);
  out.set_moved(transfer.moved);
  const auto durable = transfer.durable.find(transfer.road);
  if (durable != transfer.durable.end()) out.set_durable(durable->second);
  out.set_bytes_per_second(transfer.bytes_per_second);
  *out.mutable_captured_at() = rpc::ToProto(transfer.captured);
  *out.mutable_created_at() = rpc::ToProto(transfer.created);
  *out.mutable_changed_at() = rpc::ToProto(transfer.changed);
  out.set_announced(transfer.announced);
  out.set_held(transfer.held);
  return out;
}

pb::TransfersInfo InfoOf(const Transfers& transfers) {
  const TransferCounts counts = transfers.Counts();
  const TransferTotals totals = transfers.Totals();
  const auto files = [&](TransferState state) { return counts.files[static_cast<size_t>(state)]; };
  pb::TransfersInfo info;
  const uint64_t active = transfers.active();
  info.set_queued(files(TransferState::kQueued) - std::min(active, files(TransferState::kQueued)));
  info.set_active(active);
  info.set_waiting_confirmation(files(TransferState::kWaitingConfirmation));
  info.set_done(files(TransferState::kDone));
  info.set_failed(files(TransferState::kFailed));
  info.set_cancelled(files(TransferState::kCancelled));
  uint64_t bytes = 0;
  for (size_t i = 0; i < kTransferStates; ++i) {
    if (!IsFinished(static_cast<TransferState>(i))) bytes += counts.bytes[i];
  }
  info.set_bytes(bytes);
  info.set_held_bytes(counts.held_bytes);
  info.set_max_files(transfers.max_files());
  info.set_max_bytes(transfers.max_bytes());
  info.set_full(counts.full);
  info.set_sent_files(totals.done);
  info.set_sent_bytes(totals.bytes);
  info.set_failed_attempts(totals.attempts);
  info.set_damaged(counts.damages);
  return info;
}

TransferFilter ReadFilter(const pb::TransferFilter& message, rpc::Violations* violations) {
  TransferFilter filter;
  if (message.transfer_ids_size() > TransfersService::kMaxFilterIds) {
    violations->Add("filter.transfer_ids",
                    absl::StrCat("too many, at most ", TransfersService::kMaxFilterIds, ", got ",
                                 message.transfer_ids_size()));
  } else {
    filter.ids.assign(message.transfer_ids().begin(), message.transfer_ids().end());
  }
  filter.device = message.edge_device_id();
  if (!message.priority().empty()) {
    const auto priority = ParsePriority(message.priority());
    if (priority.ok()) filter.priority = *priority;
    if (!priority.ok()) {
      violations->Add("filter.priority", std::string(priority.status().message()));
    }
  }
  for (const int state : message.states()) {
    if (state <= pb::TRANSFER_STATE_UNSPECIFIED || state > pb::TRANSFER_STATE_CANCELLED) {
      violations->Add("filter.states", absl::StrCat("not a state, ", state));
      continue;
    }
    // What is under way is queued on disk.
    const auto wanted = static_cast<TransferState>(state - 1);
    filter.states.push_back(wanted == TransferState::kActive ? TransferState::kQueued : wanted);
  }
  return filter;
}

bool HasState(const pb::TransferFilter& filter, const Transfer& transfer) {
  const auto& states = filter.states();
  return states.empty() ||
         std::find(states.begin(), states.end(), ToProto(transfer.state)) != states.end();
}

}  // namespace

grpc::ServerUnaryReactor* TransfersService::GetInfo(grpc::CallbackServerContext* context,
                                                    const pb::TransfersGetInfoRequest* /*request*/,
                                                    pb::TransfersGetInfoResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Transfers/GetInfo")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (deps_->transfers == nullptr) return rpc::Answer(context, NoTransfers());
  *response->mutable_transfers() = InfoOf(*deps_->transfers);
  return rpc::Answer(context, grpc::Status::OK);
}

grpc::ServerUnaryReactor* TransfersService::List(grpc::CallbackServerContext* context,
                                                 const pb::TransfersListRequest* request,
                                                 pb::TransfersListResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Transfers/List")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (deps_->transfers == nullptr) return rpc::Answer(context, NoTransfers());
  rpc::Violations violations;
  TransferFilter filter = ReadFilter(request->filter(), &violations);
  if (request->page_size() > kMaxPage) {
    violations.Add("page_size", absl::StrCat("at most ", kMaxPage, ", got ", request->page_size()));
  }
  if (!violations.empty()) return rpc::Answer(context, violations.ToStatus("Transfers.List"));
  const uint32_t size = request->page_size() == 0 ? kDefaultPage : request->page_size();
  return rpc::RunOn(deps_->executor, context,
                    [this, request, response, size, filter = std::move(filter)] {
                      const auto page = deps_->transfers->List(filter, size, request->page_token());
                      if (!page.ok()) return rpc::ToGrpc(page.status());
                      for (const Transfer& transfer : page->transfers) {
                        if (!HasState(request->filter(), transfer)) continue;
                        *response->add_transfers() = ToProto(transfer);
                      }
                      response->set_next_page_token(page->next_page_token);
                      return grpc::Status::OK;
                    });
}

grpc::ServerUnaryReactor* TransfersService::Get(grpc::CallbackServerContext* context,
                                                const pb::TransfersGetRequest* request,
                                                pb::TransfersGetResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Transfers/Get")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (deps_->transfers == nullptr) return rpc::Answer(context, NoTransfers());
  return rpc::RunOn(deps_->executor, context, [this, request, response] {
    const auto transfer = deps_->transfers->Get(request->transfer_id());
    if (!transfer.ok()) return rpc::ToGrpc(transfer.status());
    *response->mutable_transfer() = ToProto(*transfer);
    return grpc::Status::OK;
  });
}

grpc::ServerWriteReactor<pb::TransfersWatchResponse>* TransfersService::Watch(
    grpc::CallbackServerContext* context, const pb::TransfersWatchRequest* request) {
  constexpr std::string_view kMethod = "viaduct.control.v1.Transfers/Watch";
  if (auto refused = deps_->gate->Refuse(*context, kMethod)) {
    return rpc::RejectWatch<pb::TransfersWatchResponse>(*std::move(refused));
  }
  if (deps_->transfers == nullptr) {
    return rpc::RejectWatch<pb::TransfersWatchResponse>(NoTransfers());
  }
  if (request->edge_device_ids_size() > kMaxFilterIds) {
    rpc::Violations violations;
    violations.Add("edge_device_ids", absl::StrCat("too many, at most ", kMaxFilterIds));
    return rpc::RejectWatch<pb::TransfersWatchResponse>(violations.ToStatus("Transfers.Watch"));
  }
  std::vector<std::string> devices(request->edge_device_ids().begin(),
                                   request->edge_device_ids().end());
  auto stream = Watchers::Stream::Create(kMaxPending, [](uint64_t missed) {
    pb::TransfersWatchResponse response;
    response.mutable_lagged()->set_missed(missed);
    return response;
  });
  stream->SetStanding(deps_->gate->Standing(*context, kMethod));
  // The present state is read from the disk, page by page: no commit waits for it.
  const bool queued = deps_->executor->Submit([this, stream, devices] {
    const absl::Status status = watchers_.SubscribeThenFill(
        stream, devices, [&](Watchers::Fresh fresh) { QueueState(devices, fresh); });
    if (!status.ok()) stream->Close(rpc::ToGrpc(status));
  });
  if (!queued) {
    stream->Close(rpc::ToGrpc(
        absl::ResourceExhaustedError("transfers: too many calls are waiting, try again later")));
  }
  return stream.get();
}

void TransfersService::QueueState(const std::vector<std::string>& devices, Watchers::Fresh fresh) {
  TransferFilter filter;
  filter.states = {TransferState::kQueued, TransferState::kWaitingConfirmation,
                   TransferState::kFailed};
  std::string token;
  size_t queued = 0;
  uint64_t missed = 0;
  do {
    const auto page = deps_->transfers->List(filter, kMaxPage, token);
    if (!page.ok()) return fresh.stream()->Close(rpc::ToGrpc(page.status()));
    for (const Transfer& transfer : page->transfers) {
      if (!IsWanted(devices, transfer.device)) continue;
      if (++queued > kMaxPending / 2) {
        ++missed;
        continue;
      }
      pb::TransfersWatchResponse response;
      *response.mutable_transfer() = ToProto(transfer);
      fresh.Offer(std::move(response), transfer.id);
    }
    token = page->next_page_token;
  } while (!token.empty() && queued <= kMaxPending);
  if (missed > 0) fresh.stream()->AddMissed(missed);
  pb::TransfersWatchResponse synced;
  synced.mutable_synced();
  fresh.stream()->Queue(std::move(synced));
}

void TransfersService::OnChanged(const Transfer& transfer) {
  if (watchers_.watchers() == 0) return;
  pb::TransfersWatchResponse response;
  *response.mutable_transfer() = ToProto(transfer);
  watchers_.Publish(response, transfer.id, [&](const std::vector<std::string>& devices) {
    return IsWanted(devices, transfer.device);
  });
}

grpc::ServerUnaryReactor* TransfersService::Cancel(grpc::CallbackServerContext* context,
                                                   const pb::TransfersCancelRequest* request,
                                                   pb::TransfersCancelResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Transfers/Cancel")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (deps_->transfers == nullptr) return rpc::Answer(context, NoTransfers());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const std::string author = deps_->gate->Describe(*context);
  deps_->transfers->Cancel(
      request->transfer_id(), [this, reactor, response, author, id = request->transfer_id()](
                                  const absl::StatusOr<Transfer>& changed) {
        if (changed.ok()) *response->mutable_transfer() = ToProto(*changed);
        AuditThen(*deps_, author, "Transfers.Cancel", id, changed.status(),
                  [reactor, status = rpc::ToGrpc(changed.status())] { reactor->Finish(status); });
      });
  return reactor;
}

grpc::ServerUnaryReactor* TransfersService::Retry(grpc::CallbackServerContext* context,
                                                  const pb::TransfersRetryRequest* request,
                                                  pb::TransfersRetryResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Transfers/Retry")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (deps_->transfers == nullptr) return rpc::Answer(context, NoTransfers());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const std::string author = deps_->gate->Describe(*context);
  deps_->transfers->Retry(
      request->transfer_id(), [this, reactor, response, author, id = request->transfer_id()](
                                  const absl::StatusOr<Transfer>& changed) {
        if (changed.ok()) *response->mutable_transfer() = ToProto(*changed);
        AuditThen(*deps_, author, "Transfers.Retry", id, changed.status(),
                  [reactor, status = rpc::ToGrpc(changed.status())] { reactor->Finish(status); });
      });
  return reactor;
}

}  // namespace viaduct
