// viaduct.gateway.v1.Gateway: what applications on the node use.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/lpr/sender.h"
#include "core/lpr/sink.h"
#include "core/message/envelope.h"
#include "core/transfer/transfers.h"
#include "host/rpc/broadcast.h"
#include "host/rpc/gate.h"
#include "host/services/envelope_convert.h"
#include "viaduct/gateway/v1/gateway.grpc.pb.h"

namespace viaduct {

class Vision;

// Subscribers to accepted messages. Thread-safe.
class MessageFeed {
 public:
  static constexpr size_t kMaxPending = 1024;  // Of one subscriber.

  rpc::WatchStream<gateway::v1::SubscribeResponse>* Subscribe(
      const gateway::v1::SubscribeRequest& request);
  // True when somebody listens: otherwise nothing need be copied.
  bool wanted() const { return broadcast_.watchers() > 0; }
  void Publish(const Envelope& envelope);
  void CloseAll(const grpc::Status& status) { broadcast_.CloseAll(status); }

 private:
  struct Filter {
    uint32_t types = 0;  // Bit by DataType; 0: all.
    std::vector<std::string> devices;
    bool Wants(const Envelope& envelope) const;
  };
  using Feed = rpc::Broadcast<gateway::v1::SubscribeResponse, Filter>;

  Feed broadcast_;
};

// Tells the feed what a sink has made durable. Thread-safe.
class FeedSink final : public Sink {
 public:
  // Both outlive it.
  FeedSink(Sink* sink, MessageFeed* feed) : sink_(sink), feed_(feed) {}
  void Accept(std::vector<Arrival> batch, AcceptFn done) override;

 private:
  Sink* const sink_;
  MessageFeed* const feed_;
};

// Where envelopes go; checks each and answers as Sink::Accept does.
using IngestFn = std::function<void(std::vector<Envelope> batch, Sink::AcceptFn done)>;
// The same for messages of whoever calls.
using SendFn =
    std::function<void(std::vector<Envelope> batch, const Sender& sender, Sink::AcceptFn done)>;

// Thread-safe.
class GatewayService final : public gateway::v1::Gateway::CallbackService {
 public:
  // What one stream may have without result before it is no longer read.
  static constexpr size_t kWindow = 8192;
  static constexpr size_t kWindowBytes = 32u << 20;
  static constexpr int kMaxFrame = 4096;  // Envelopes of one frame.
  // SendMetadataStream at once, of all connections, and as many SendFileStream.
  static constexpr int kMaxStreams = 64;

  // All outlive the service. `transfers` is null on a node that sends no files.
  GatewayService(rpc::Gate* gate, SendFn send, const EnvelopeReader* reader, MessageFeed* feed,
                 Transfers* transfers, Vision* vision)
      : gate_(gate),
        send_(std::move(send)),
        reader_(reader),
        feed_(feed),
        transfers_(transfers),
        vision_(vision) {}

  grpc::ServerUnaryReactor* SendMetadata(grpc::CallbackServerContext* context,
                                         const gateway::v1::SendMetadataRequest* request,
                                         gateway::v1::SendMetadataResponse* response) override;
  grpc::ServerBidiReactor<gateway::v1::SendMetadataStreamRequest,
                          gateway::v1::SendMetadataStreamResponse>*
  SendMetadataStream(grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* SendFile(grpc::CallbackServerContext* context,
                                     const gateway::v1::SendFileRequest* request,
                                     gateway::v1::SendFileResponse* response) override;
  grpc::ServerReadReactor<gateway::v1::SendFileStreamRequest>* SendFileStream(
      grpc::CallbackServerContext* context, gateway::v1::SendFileStreamResponse* response) override;
  grpc::ServerWriteReactor<gateway::v1::SubscribeResponse>* Subscribe(
      grpc::CallbackServerContext* context, const gateway::v1::SubscribeRequest* request) override;
  grpc::ServerUnaryReactor* Infer(grpc::CallbackServerContext* context,
                                  const gateway::v1::InferRequest* request,
                                  gateway::v1::InferResponse* response) override;

 private:
  Sender SenderOf(const grpc::ServerContextBase& context, std::string_view method) const;
  IngestFn IngestOf(const grpc::ServerContextBase& context, std::string_view method) const;

  rpc::Gate* const gate_;
  const SendFn send_;
  const EnvelopeReader* const reader_;
  MessageFeed* const feed_;
  Transfers* const transfers_;
  Vision* const vision_;
  // Outlive the service where a stream does.
  const std::shared_ptr<std::atomic<int>> streams_ = std::make_shared<std::atomic<int>>(0);
  const std::shared_ptr<std::atomic<int>> file_streams_ = std::make_shared<std::atomic<int>>(0);
};

}  // namespace viaduct
