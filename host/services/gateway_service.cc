#include "host/services/gateway_service.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/security/permissions.h"
#include "host/rpc/call.h"
#include "host/services/file_stream.h"
#include "host/services/infer_call.h"
#include "host/services/metadata_stream.h"

namespace viaduct {
namespace {

namespace pb = gateway::v1;

constexpr size_t kMaxFilterDevices = 1000;

// Rows of the table of permissions.
constexpr std::string_view kSendMetadata = "viaduct.gateway.v1.Gateway/SendMetadata";
constexpr std::string_view kSendMetadataStream = "viaduct.gateway.v1.Gateway/SendMetadataStream";
constexpr std::string_view kSendFile = "viaduct.gateway.v1.Gateway/SendFile";
constexpr std::string_view kSendFileStream = "viaduct.gateway.v1.Gateway/SendFileStream";
constexpr std::string_view kSubscribe = "viaduct.gateway.v1.Gateway/Subscribe";
constexpr std::string_view kInfer = "viaduct.gateway.v1.Gateway/Infer";

// Of a caller who was let in; its credentials may have ended since.
grpc::Status StandingOf(const rpc::Gate& gate, const rpc::PrincipalPtr& caller) {
  if (caller != nullptr || !gate.asks()) return grpc::Status::OK;
  return rpc::AcceptedNoLonger();
}

}  // namespace

bool MessageFeed::Filter::Wants(const Envelope& envelope) const {
  if (types != 0 && (types & (1u << static_cast<unsigned>(envelope.data_type))) == 0) return false;
  return devices.empty() ||
         std::find(devices.begin(), devices.end(), envelope.edge_device_id) != devices.end();
}

rpc::WatchStream<pb::SubscribeResponse>* MessageFeed::Subscribe(
    const pb::SubscribeRequest& request) {
  rpc::Violations violations;
  Filter filter;
  for (int i = 0; i < request.data_types_size(); ++i) {
    const int type = request.data_types(i);
    if (type <= pb::DATA_TYPE_UNSPECIFIED || type > pb::DATA_TYPE_CONTROL) {
      violations.Add(
          absl::StrCat("data_types[", i, "]"),
          absl::StrCat("expected one of DETECTION, HEALTH, CONFIG and CONTROL, got ", type));
      continue;
    }
    filter.types |= 1u << static_cast<unsigned>(type - 1);
  }
  if (static_cast<size_t>(request.edge_device_ids_size()) > kMaxFilterDevices) {
    violations.Add("edge_device_ids", absl::StrCat("too many, at most ", kMaxFilterDevices,
                                                   ", got ", request.edge_device_ids_size()));
  }
  if (!violations.empty()) {
    return rpc::RejectWatch<pb::SubscribeResponse>(violations.ToStatus("Subscribe"));
  }
  filter.devices.assign(request.edge_device_ids().begin(), request.edge_device_ids().end());
  auto stream = Feed::Stream::Create(kMaxPending, [](uint64_t missed) {
    pb::SubscribeResponse response;
    response.mutable_lagged()->set_missed(missed);
    return response;
  });
  absl::Status status =
      broadcast_.Subscribe(stream, std::move(filter), [](Feed::Stream* new_stream) {
        pb::SubscribeResponse synced;
        synced.mutable_synced();
        new_stream->Queue(std::move(synced));
      });
  if (!status.ok()) stream->Close(rpc::ToGrpc(status));
  return stream.get();
}

void MessageFeed::Publish(const Envelope& envelope) {
  const auto wants = [&](const Filter& filter) { return filter.Wants(envelope); };
  if (!broadcast_.Wanted(wants)) return;
  pb::SubscribeResponse response;
  *response.mutable_envelope() = ToProto(envelope);
  broadcast_.Publish(response, {}, wants);
}

void FeedSink::Accept(std::vector<Arrival> batch, AcceptFn done) {
  if (!feed_->wanted()) {
    sink_->Accept(std::move(batch), std::move(done));
    return;
  }
  auto copy = std::make_shared<std::vector<Envelope>>();
  for (const Arrival& arrival : batch) copy->push_back(arrival.envelope);
  sink_->Accept(std::move(batch),
                [this, copy, done = std::move(done)](std::vector<AcceptResult> results) {
                  for (size_t i = 0; i < std::min(results.size(), copy->size()); ++i) {
                    if (results[i].status.ok() && !results[i].duplicate) feed_->Publish((*copy)[i]);
                  }
                  done(std::move(results));
                });
}

Sender GatewayService::SenderOf(const grpc::ServerContextBase& context,
                                std::string_view method) const {
  return {"grpc", "gateway.v1", gate_->Caller(context),
          security::FindPermission(security::Surface::kRpc, method)};
}

IngestFn GatewayService::IngestOf(const grpc::ServerContextBase& context,
                                  std::string_view method) const {
  return [send = send_, sender = SenderOf(context, method)](std::vector<Envelope> batch,
                                                            Sink::AcceptFn done) {
    send(std::move(batch), sender, std::move(done));
  };
}

grpc::ServerUnaryReactor* GatewayService::SendMetadata(grpc::CallbackServerContext* context,
                                                       const pb::SendMetadataRequest* request,
                                                       pb::SendMetadataResponse* response) {
  if (auto refused = gate_->Refuse(*context, kSendMetadata)) {
    return rpc::Answer(context, *std::move(refused));
  }
  rpc::Violations violations;
  if (!request->has_envelope()) violations.Add("envelope", "missing");
  pb::Envelope message = request->envelope();
  std::vector<Envelope> batch;
  batch.push_back(reader_->Read(&message, "envelope", &violations));
  if (!violations.empty()) return rpc::Answer(context, violations.ToStatus("SendMetadata"));
  response->mutable_result()->set_message_id(batch.front().message_id);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  send_(std::move(batch), SenderOf(*context, kSendMetadata),
        [reactor, response](std::vector<AcceptResult> results) {
          if (results.size() != 1) {
            reactor->Finish(rpc::ToGrpc(absl::InternalError("SendMetadata: no result came")));
            return;
          }
          const absl::Status status = ForSender(results.front().status);
          if (absl::IsInvalidArgument(status)) {
            rpc::Violations refusal;
            refusal.Add(FieldOfRefusal(StdView(status.message()), "envelope"),
                        std::string(status.message()));
            reactor->Finish(refusal.ToStatus("SendMetadata"));
            return;
          }
          response->mutable_result()->set_status(
              results.front().duplicate ? pb::RESULT_STATUS_DUPLICATE : pb::RESULT_STATUS_STORED);
          reactor->Finish(rpc::ToGrpc(status));
        });
  return reactor;
}

grpc::ServerBidiReactor<pb::SendMetadataStreamRequest, pb::SendMetadataStreamResponse>*
GatewayService::SendMetadataStream(grpc::CallbackServerContext* context) {
  if (auto refused = gate_->Refuse(*context, kSendMetadataStream)) {
    return new rpc::RejectedBidi<pb::SendMetadataStreamRequest, pb::SendMetadataStreamResponse>(
        *std::move(refused));
  }
  // Of one frame after the other, so that nothing need be locked.
  auto seen = std::make_shared<uint64_t>(gate_->changes());
  auto sender = std::make_shared<Sender>(SenderOf(*context, kSendMetadataStream));
  rpc::StandingFn standing = [this, context, sender, seen]() -> grpc::Status {
    const uint64_t changes = gate_->changes();
    if (std::exchange(*seen, changes) == changes) return grpc::Status::OK;
    sender->principal = gate_->Caller(*context);
    return StandingOf(*gate_, sender->principal);
  };
  const IngestFn ingest = [send = send_, sender](std::vector<Envelope> batch, Sink::AcceptFn done) {
    send(std::move(batch), *sender, std::move(done));
  };
  return MetadataStream::Start(ingest, std::move(standing), reader_, streams_);
}

grpc::ServerUnaryReactor* GatewayService::SendFile(grpc::CallbackServerContext* context,
                                                   const pb::SendFileRequest* request,
                                                   pb::SendFileResponse* response) {
  if (auto refused = gate_->Refuse(*context, kSendFile)) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (transfers_ == nullptr) {
    return rpc::Answer(context, rpc::ToGrpc(absl::FailedPreconditionError(
                                    "transfers: this node sends no files (see node.sinks)")));
  }
  FileRequest file;
  std::string error;
  if (request->take() > pb::FILE_TAKE_COPY) error = "take: not one of REFERENCE, LINK and COPY";
  if (!ReadFileInfo(request->file(), &file, &error)) {
    return rpc::Answer(context, FileError(absl::InvalidArgumentError(error), "SendFile"));
  }
  const FileTake take = request->take() == pb::FILE_TAKE_LINK   ? FileTake::kLink
                        : request->take() == pb::FILE_TAKE_COPY ? FileTake::kCopy
                                                                : FileTake::kReference;
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  transfers_->SendPath(
      std::move(file), request->path(), take,
      [reactor, response](const absl::StatusOr<TransferQueue::Added>& added) {
        if (added.ok()) FillReceipt(*added, response->mutable_receipt());
        reactor->Finish(added.ok() ? grpc::Status::OK : FileError(added.status(), "SendFile"));
      });
  return reactor;
}

grpc::ServerReadReactor<pb::SendFileStreamRequest>* GatewayService::SendFileStream(
    grpc::CallbackServerContext* context, pb::SendFileStreamResponse* response) {
  if (auto refused = gate_->Refuse(*context, kSendFileStream)) {
    return new rpc::RejectedRead<pb::SendFileStreamRequest>(*std::move(refused));
  }
  rpc::PrincipalPtr caller = gate_->Caller(*context);
  if (grpc::Status standing = StandingOf(*gate_, caller); !standing.ok()) {
    return new rpc::RejectedRead<pb::SendFileStreamRequest>(std::move(standing));
  }
  return FileStream::Start(transfers_, response, file_streams_, std::move(caller));
}

grpc::ServerWriteReactor<pb::SubscribeResponse>* GatewayService::Subscribe(
    grpc::CallbackServerContext* context, const pb::SubscribeRequest* request) {
  if (auto refused = gate_->Refuse(*context, kSubscribe)) {
    return rpc::RejectWatch<pb::SubscribeResponse>(*std::move(refused));
  }
  return rpc::WhileAllowed(feed_->Subscribe(*request), gate_->Standing(*context, kSubscribe));
}

grpc::ServerUnaryReactor* GatewayService::Infer(grpc::CallbackServerContext* context,
                                                const pb::InferRequest* request,
                                                pb::InferResponse* response) {
  if (auto refused = gate_->Refuse(*context, kInfer)) {
    return rpc::Answer(context, *std::move(refused));
  }
  return InferCall::Start({vision_, reader_, IngestOf(*context, kInfer)}, context, request,
                          response);
}

}  // namespace viaduct
