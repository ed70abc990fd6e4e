#include "host/services/spool_service.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "host/rpc/call.h"
#include "host/rpc/convert.h"

namespace viaduct {
namespace {

namespace pb = control::v1;

grpc::Status NoSpool() {
  return rpc::ToGrpc(absl::FailedPreconditionError(
      "spool: this node has none, its messages go to the store (see node.sinks)"));
}

SpoolFilter ReadFilter(const pb::SpoolFilter& message, rpc::Violations* violations) {
  SpoolFilter filter;
  if (message.message_ids_size() > SpoolService::kMaxFilterIds) {
    violations->Add("filter.message_ids",
                    absl::StrCat("too many, at most ", SpoolService::kMaxFilterIds, ", got ",
                                 message.message_ids_size()));
  } else {
    filter.message_ids.assign(message.message_ids().begin(), message.message_ids().end());
  }
  filter.edge_device_id = message.edge_device_id();
  if (!message.data_type().empty()) {
    filter.data_type = ParseDataType(message.data_type());
    if (!filter.data_type.ok()) {
      violations->Add("filter.data_type", std::string(filter.data_type.status().message()));
    }
  }
  if (!message.priority().empty()) {
    filter.priority = ParsePriority(message.priority());
    if (!filter.priority.ok()) {
      violations->Add("filter.priority", std::string(filter.priority.status().message()));
    }
  }
  switch (message.state()) {
    case pb::SPOOL_ENTRY_STATE_UNSPECIFIED:
      break;
    case pb::SPOOL_ENTRY_STATE_WAITING:
      filter.state = SpoolEntryState::kWaiting;
      break;
    case pb::SPOOL_ENTRY_STATE_IN_FLIGHT:
      filter.state = SpoolEntryState::kInFlight;
      break;
    case pb::SPOOL_ENTRY_STATE_REJECTED:
      filter.state = SpoolEntryState::kRejected;
      break;
    default:
      violations->Add("filter.state", absl::StrCat("expected WAITING, IN_FLIGHT or REJECTED, got ",
                                                   static_cast<int>(message.state())));
  }
  return filter;
}

bool IsEmpty(const SpoolFilter& filter) {
  return filter.message_ids.empty() && filter.edge_device_id.empty() && !filter.data_type.ok() &&
         !filter.priority.ok() && !filter.state.ok();
}

pb::SpoolEntry ToProto(const SpoolEntry& entry) {
  pb::SpoolEntry out;
  out.set_sequence(static_cast<uint64_t>(entry.key));
  out.set_message_id(entry.message_id);
  out.set_edge_device_id(entry.edge_device_id);
  out.set_data_type(std::string(DataTypeName(entry.data_type)));
  out.set_priority(std::string(PriorityName(entry.priority)));
  out.set_state(static_cast<pb::SpoolEntryState>(static_cast<int>(entry.state) + 1));
  *out.mutable_timestamp() = rpc::ToProto(entry.timestamp);
  *out.mutable_accepted_at() = rpc::ToProto(entry.accepted_at);
  out.set_attempts(entry.attempts);
  out.set_bytes(entry.bytes);
  out.set_last_error(entry.last_error);
  out.set_envelope_json(entry.envelope_json);
  return out;
}

pb::SpoolInfo ToProto(const SpoolInfo& info) {
  pb::SpoolInfo out;
  out.set_path(info.path);
  out.set_messages(info.messages);
  out.set_bytes(info.bytes);
  out.set_max_messages(info.max_messages);
  out.set_max_bytes(info.max_bytes);
  out.set_in_flight(info.in_flight);
  out.set_rejected(info.rejected);
  *out.mutable_oldest_age() = rpc::ToProto(info.oldest_age);
  out.set_damaged(info.damages_total);
  out.set_when_full(info.when_full == WhenFull::kRejectNew ? "reject_new"
                                                           : "drop_oldest_low_priority");
  out.set_full(info.full);
  return out;
}

}  // namespace

grpc::ServerUnaryReactor* SpoolService::GetInfo(grpc::CallbackServerContext* context,
                                                const pb::SpoolGetInfoRequest* /*request*/,
                                                pb::SpoolGetInfoResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Spool/GetInfo")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (deps_->spool == nullptr) return rpc::Answer(context, NoSpool());
  return rpc::RunOn(deps_->executor, context, [this, response] {
    *response->mutable_spool() = ToProto(deps_->spool->Info());
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* SpoolService::List(grpc::CallbackServerContext* context,
                                             const pb::SpoolListRequest* request,
                                             pb::SpoolListResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Spool/List")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (deps_->spool == nullptr) return rpc::Answer(context, NoSpool());
  rpc::Violations violations;
  SpoolFilter filter = ReadFilter(request->filter(), &violations);
  if (request->page_size() > kMaxPage) {
    violations.Add("page_size", absl::StrCat("at most ", kMaxPage, ", got ", request->page_size()));
  }
  if (!violations.empty()) return rpc::Answer(context, violations.ToStatus("Spool.List"));
  const uint32_t size = request->page_size() == 0 ? kDefaultPage : request->page_size();
  return rpc::RunOn(
      deps_->executor, context, [this, request, response, size, filter = std::move(filter)] {
        auto page =
            deps_->spool->List(filter, size, request->page_token(), request->with_envelope());
        if (!page.ok()) return rpc::ToGrpc(page.status());
        for (const auto& entry : page->entries) {
          *response->add_entries() = ToProto(entry);
        }
        response->set_next_page_token(page->next_page_token);
        return grpc::Status::OK;
      });
}

grpc::ServerUnaryReactor* SpoolService::Retry(grpc::CallbackServerContext* context,
                                              const pb::SpoolRetryRequest* request,
                                              pb::SpoolRetryResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Spool/Retry")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (deps_->spool == nullptr) return rpc::Answer(context, NoSpool());
  rpc::Violations violations;
  SpoolFilter filter = ReadFilter(request->filter(), &violations);
  if (!violations.empty()) return rpc::Answer(context, violations.ToStatus("Spool.Retry"));
  const std::string author = deps_->gate->Describe(*context);
  return rpc::RunOn(deps_->executor, context, [this, author, response, filter = std::move(filter)] {
    auto retried = deps_->spool->RetryDeadLetters(filter);
    Audit(*deps_, author, "Spool.Retry", retried.ok() ? absl::StrCat(*retried, " messages") : "",
          retried.status());
    if (!retried.ok()) return rpc::ToGrpc(retried.status());
    response->set_retried(*retried);
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* SpoolService::Drop(grpc::CallbackServerContext* context,
                                             const pb::SpoolDropRequest* request,
                                             pb::SpoolDropResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Spool/Drop")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (deps_->spool == nullptr) return rpc::Answer(context, NoSpool());
  rpc::Violations violations;
  SpoolFilter filter = ReadFilter(request->filter(), &violations);
  if (violations.empty() && IsEmpty(filter)) {
    violations.Add("filter", "missing, name what is to be dropped");
  }
  if (request->reason().empty()) violations.Add("reason", "missing");
  if (request->reason().size() > kMaxReasonBytes) {
    violations.Add("reason", absl::StrCat("at most ", kMaxReasonBytes, " bytes, got ",
                                          request->reason().size()));
  }
  if (!violations.empty()) return rpc::Answer(context, violations.ToStatus("Spool.Drop"));
  const std::string author = deps_->gate->Describe(*context);
  return rpc::RunOn(deps_->executor, context,
                    [this, author, request, response, filter = std::move(filter)] {
                      auto dropped = deps_->spool->Drop(filter, request->reason());
                      Audit(*deps_, author, "Spool.Drop",
                            dropped.ok() ? absl::StrCat(*dropped, " messages: ", request->reason())
                                         : request->reason(),
                            dropped.status());
                      if (!dropped.ok()) return rpc::ToGrpc(dropped.status());
                      response->set_dropped(*dropped);
                      return grpc::Status::OK;
                    });
}

}  // namespace viaduct
