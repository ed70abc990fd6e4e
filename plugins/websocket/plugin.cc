// The websocket plugin: its entry and wiring.
#include "viaduct/cpp/plugin.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "plugins/common/plugin_wiring.h"
#include "plugins/websocket/client.h"
#include "plugins/websocket/listener.h"
#include "plugins/websocket/options.h"
#include "websocket_config_schema.h"

namespace viaduct::websocket {
namespace {

using sdk::Status;

// The road: each message is carried to the server; commands come the other way.
class Road {
 public:
  Road(const sdk::Host& host, const ClientOptions& options) : host_(host), options_(options) {}

  Status Start() {
    host_.SetHealth(sdk::Health::kUnhealthy, "connecting");
    const absl::MutexLock lock(&mutex_);
    client_ = std::make_unique<Client>(options_, MakeEvents());
    const absl::Status status = client_->Start();
    if (!status.ok()) client_.reset();
    return SdkStatus(status);
  }
  bool Drain(absl::Duration timeout) {
    const absl::ReaderMutexLock lock(&mutex_);
    return client_->Drain(timeout);
  }
  // Others may be inside of it until it has ended, and the client's own thread.
  void Stop() {
    {
      const absl::ReaderMutexLock lock(&mutex_);
      if (client_ != nullptr) client_->Stop();
    }
    const absl::MutexLock lock(&mutex_);
    client_.reset();
  }
  uint32_t Credit() const {
    const absl::ReaderMutexLock lock(&mutex_);
    return client_ == nullptr ? 0 : static_cast<uint32_t>(client_->credit());
  }

  void Deliver(const sdk::MessageList& batch, size_t* taken) {
    const absl::ReaderMutexLock lock(&mutex_);
    if (client_ != nullptr) TakeEach(batch, client_.get(), taken);
  }
  void Cancel(const sdk::TokenList& tokens) {
    const absl::ReaderMutexLock lock(&mutex_);
    if (client_ != nullptr) client_->Cancel({tokens.begin(), tokens.size()});
  }

  // The answer to a command, or what to say to the server that was found.
  void OnReply(const vd_reply& reply) {
    const std::string_view body = sdk::Text(reply.body);
    const absl::ReaderMutexLock lock(&mutex_);
    if (client_ == nullptr) return;
    if (reply.token % kTokensPerTicket == kCommandToken) {
      return client_->Answer(reply.token / kTokensPerTicket, std::string(body));
    }
    const std::string_view event = sdk::FindAttr(reply.attributes, reply.attribute_count, "event");
    if (!event.empty()) client_->Introduce(std::string(event), std::string(body));
  }

  Status Probe(const vd_probe& probe) {
    const absl::ReaderMutexLock lock(&mutex_);
    if (client_ == nullptr) return sdk::Unavailable("probe: the instance stops");
    return BeginProbe(host_, probe, client_.get());
  }

 private:
  // A command's ticket and the number of a connection share the tokens of calls.
  static constexpr uint64_t kTokensPerTicket = 2;
  static constexpr uint64_t kCommandToken = 1;

  // A host that takes no calls, or not now, leaves the server without the word.
  void Ask(uint64_t token, std::string_view method, std::string_view path, std::string_view body) {
    if (!host_.has_call()) return;
    vd_call call = sdk::Record<vd_call>();
    call.token = token;
    call.protocol = sdk::Str(options_.raw ? "websocket" : "socketio");
    call.method = sdk::Str(method);
    call.path = sdk::Str(path);
    call.body = sdk::Octets(body);
    call.peer = sdk::Str(options_.server_url);
    static_cast<void>(host_.Call(call).ok());
  }

  Client::Events MakeEvents() {
    Client::Events events;
    events.on_results = [this](absl::Span<const DeliveryResult> results) {
      CompleteAll(host_, results);
    };
    events.on_ready = [this] {
      host_.SetHealth(sdk::Health::kHealthy);
      Ask(++connections_ * kTokensPerTicket, "UP", "", "");
    };
    events.on_command = [this](uint64_t ticket, const std::string& body) {
      Ask(ticket * kTokensPerTicket + kCommandToken, "COMMAND", "control", body);
    };
    events.on_lost = [this](const absl::Status& why) {
      host_.SetHealth(sdk::Health::kUnhealthy, TextOf(why));
    };
    return events;
  }

  const sdk::Host host_;
  const ClientOptions options_;
  uint64_t connections_ = 0;  // Of the client's thread alone.
  // Calls come from any thread until Stop has returned.
  mutable absl::Mutex mutex_;
  std::unique_ptr<Client> client_ ABSL_GUARDED_BY(mutex_);  // From Start to Stop.
};

class WebSocket final : public ListenerOrRoad<sdk::Publish, Listener, Road> {
 public:
  using ListenerOrRoad::ListenerOrRoad;

  Status Configure(const sdk::Config& config) override {
    VIADUCT_RETURN_IF_ERROR(ReadConfig(config, [this](std::string_view json, OptionsError* error) {
      return ReadOptions(json, &options_, error);
    }));
    if (options_.is_server && !host().has_call())
      return sdk::FailedPrecondition("host: does not offer " VD_HOST_CALL_1);
    if (!options_.is_server) {
      road_ = std::make_unique<Road>(host(), options_.client);
      return {};
    }
    listener_ = std::make_unique<Listener>(host(), options_.server);
    return listener_->AddMetrics();
  }
  bool Offers(std::string_view id) const override {
    if (id == VD_CALL_1) return true;
    return options_.is_server == (id == VD_PUBLISH_1);
  }

  void OnReply(const vd_reply& reply) override {
    listener_ != nullptr ? listener_->OnReply(reply) : road_->OnReply(reply);
  }
  Status OnCall(uint32_t, const vd_call& call) override {
    if (listener_ == nullptr) return sdk::Unimplemented("call: a road takes none");
    return listener_->OnCall(call);
  }
  void OnCallCancel(uint32_t, uint64_t token) override {
    if (listener_ != nullptr) listener_->OnCallCancel(token);
  }
  uint32_t Credit(uint32_t) override {
    return listener_ != nullptr ? listener_->Credit() : road_->Credit();
  }
  Status DeliverBatch(uint32_t, const sdk::MessageList& batch, size_t* taken) override {
    listener_ != nullptr ? listener_->Deliver(batch, taken) : road_->Deliver(batch, taken);
    return {};
  }
  void CancelDelivery(uint32_t, const sdk::TokenList& tokens) override {
    if (road_ != nullptr) road_->Cancel(tokens);
  }

 private:
  Options options_;
};

}  // namespace
}  // namespace viaduct::websocket

VIADUCT_PLUGIN(viaduct::websocket::WebSocket,
               viaduct::sdk::Describe("websocket", "1.0.0")
                   .Summary("Socket.IO, plain WebSocket and HTTP on one port: listener and road")
                   .Licence("Apache-2.0")
                   .Schema(websocket_config_schema))
