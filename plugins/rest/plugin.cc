// The rest plugin: the only file here that knows the plugin ABI.
#include "viaduct/cpp/plugin.h"

#include <memory>
#include <string>
#include <utility>

#include "plugins/common/certificate_report.h"
#include "plugins/common/http_call.h"
#include "plugins/common/plugin_wiring.h"
#include "plugins/rest/flat_form.h"
#include "plugins/rest/http_client.h"
#include "plugins/rest/http_server.h"
#include "plugins/rest/options.h"
#include "rest_config_schema.h"

namespace viaduct::rest {
namespace {

using sdk::Host;
using sdk::Status;

constexpr int64_t kStatsIntervalNs = 2'000'000'000;
constexpr size_t kMaxCallBodyBytes = 64u << 20;  // A host takes no more in one call.

// The listener: each request is a call to the host.
class ServerRole {
 public:
  ServerRole(const Host& host, const Options& options)
      : host_(host),
        answer_timeout_(options.server.answer_timeout),
        server_(
            options.server,
            [this](uint64_t ticket, const HttpRequest& request) { Ask(ticket, request); },
            [this](uint64_t ticket) { host_.CancelCall(ticket); }) {}

  const Host& host() const { return host_; }

  Status AddMetrics() {
    VIADUCT_RETURN_IF_ERROR(host_.AddGauge("connections_open", "Open connections", &connections_));
    VIADUCT_RETURN_IF_ERROR(host_.AddCounter("requests_total", "Requests answered", &requests_));
    VIADUCT_RETURN_IF_ERROR(
        host_.AddCounter("refused_total", "Requests and connections refused unread", &refused_));
    VIADUCT_RETURN_IF_ERROR(host_.AddCounter(
        "timed_out_total", "Connections that were idle or slow too long", &timed_out_));
    VIADUCT_RETURN_IF_ERROR(host_.AddCounter(
        "refused_of_address_total", "Connections refused because their address has too many",
        &refused_of_address_));
    VIADUCT_RETURN_IF_ERROR(AddTlsMetrics());
    VIADUCT_RETURN_IF_ERROR(host_.AddCounter("received_bytes", "Octets received", &bytes_in_));
    return host_.AddCounter("sent_bytes", "Octets sent", &bytes_out_);
  }

  Status Start() {
    const absl::Status status = server_.Start();
    if (!status.ok()) return SdkStatus(status);
    host_.Info("listening", {sdk::Attr("port", std::to_string(server_.port()))});
    host_.SetHealth(sdk::Health::kHealthy);
    PublishStats();
    return {};
  }
  bool Drain(absl::Duration timeout) { return server_.Drain(timeout); }
  void Stop() { server_.Stop(); }
  void OnReply(const vd_reply& reply) { server_.Answer(reply.token, HttpReplyOf(reply)); }

  // Every kStatsIntervalNs, on the lane.
  void PublishStats() {
    const HttpServerStats& stats = server_.stats();
    connections_.Set(static_cast<double>(stats.connections));
    Grow(requests_, stats.requests, &last_requests_);
    Grow(refused_, stats.refused_requests + stats.refused_connections, &last_refused_);
    Grow(timed_out_, stats.timed_out, &last_timed_out_);
    Grow(refused_of_address_, stats.refused_of_address, &last_refused_of_address_);
    Grow(failed_handshakes_, stats.failed_handshakes, &last_failed_handshakes_);
    Grow(timed_out_handshakes_, stats.timed_out_handshakes, &last_timed_out_handshakes_);
    if (server_.tls() != nullptr) certificate_.Look(server_.tls());
    Grow(bytes_in_, stats.bytes_in, &last_bytes_in_);
    Grow(bytes_out_, stats.bytes_out, &last_bytes_out_);
    uint64_t timer = 0;
    // Refused only when stop has begun, and then there is nothing more to say.
    static_cast<void>(
        host_.StartTimer<&ServerRole::PublishStats>(0, kStatsIntervalNs, this, &timer).ok());
  }

 private:
  Status AddTlsMetrics() {
    VIADUCT_RETURN_IF_ERROR(host_.AddCounter("failed_handshakes_total",
                                             "TLS handshakes that failed", &failed_handshakes_));
    VIADUCT_RETURN_IF_ERROR(host_.AddCounter(
        "timed_out_handshakes_total", "TLS handshakes that took too long", &timed_out_handshakes_));
    return server_.tls() != nullptr ? certificate_.AddMetrics() : Status();
  }

  static void Grow(const sdk::Metric& counter, uint64_t now, uint64_t* last) {
    counter.Increase(static_cast<double>(now - std::exchange(*last, now)));
  }

  // On the listener's thread: asks the host, whose answer comes by OnReply.
  void Ask(uint64_t ticket, const HttpRequest& request) {
    const CallFields fields = FieldsOf(request);
    vd_call call = sdk::Record<vd_call>();
    call.token = ticket;
    call.protocol = sdk::Str("http");
    call.method = sdk::Str(request.method);
    call.path = sdk::Str(request.path);
    call.query = sdk::Str(request.query);
    call.body = sdk::Octets(request.body);
    call.peer = sdk::Str(request.peer);
    call.deadline_ns = host_.MonotonicNs() + absl::ToInt64Nanoseconds(answer_timeout_);
    call.attributes = fields.attributes.data();
    call.attribute_count = fields.attributes.size();
    call.credentials = fields.credentials.data();
    call.credential_count = fields.credentials.size();
    const Status status = host_.Call(call);
    if (status.ok()) return;
    server_.Answer(ticket, Refusal(status.code(), request));
  }

  // What the host says of a call that it does not take.
  static HttpReply Refusal(sdk::Code code, const HttpRequest& request) {
    if (code == sdk::Code::kResourceExhausted) return Problem(503, "the server is busy");
    if (code != sdk::Code::kInvalidArgument) return Problem(503, "the server is stopping");
    return request.body.size() > kMaxCallBodyBytes
               ? Problem(413, "the body is larger than this server accepts")
               : Problem(431, "the header is larger than this server accepts");
  }

  const Host host_;
  const absl::Duration answer_timeout_;
  HttpServer server_;
  CertificateReport certificate_{host_};
  sdk::Metric connections_, requests_, refused_, refused_of_address_, timed_out_, bytes_in_,
      bytes_out_, failed_handshakes_, timed_out_handshakes_;
  uint64_t last_requests_ = 0, last_refused_ = 0, last_refused_of_address_ = 0, last_timed_out_ = 0,
           last_bytes_in_ = 0, last_bytes_out_ = 0, last_failed_handshakes_ = 0,
           last_timed_out_handshakes_ = 0;
};

// The road: each message is carried to the server.
class ClientRole {
 public:
  ClientRole(const Host& host, const HttpClientOptions& options)
      : host_(host),
        flat_(options.flat),
        client_(
            options,
            [this](absl::Span<const DeliveryResult> results) { CompleteAll(host_, results); },
            [this](const std::string& problem) {
              host_.SetHealth(problem.empty() ? sdk::Health::kHealthy : sdk::Health::kUnhealthy,
                              problem);
            }) {}

  Status Start() {
    const absl::Status status = client_.Start();
    if (!status.ok()) return SdkStatus(status);
    host_.SetHealth(sdk::Health::kHealthy);
    return {};
  }
  bool Drain(absl::Duration timeout) { return client_.Drain(timeout); }
  void Stop() { client_.Stop(); }
  uint32_t Credit() const { return static_cast<uint32_t>(client_.credit()); }

  void Deliver(const sdk::MessageList& batch, size_t* taken) {
    for (const vd_message& message : batch) {
      if (!Take(message)) return;
      ++*taken;
    }
  }
  void Cancel(const sdk::TokenList& tokens) { client_.Cancel({tokens.begin(), tokens.size()}); }

  Status Probe(const vd_probe& probe) { return BeginProbe(host_, probe, &client_); }

 private:
  bool Take(const vd_message& message) {
    HttpDelivery delivery;
    delivery.token = message.token;
    delivery.message_id = std::string(sdk::Text(message.message_id));
    delivery.backlog =
        !sdk::FindAttr(message.attributes, message.attribute_count, VD_ATTR_BACKLOG).empty();
    if (!flat_) {
      delivery.body = std::string(sdk::Text(message.envelope));
      return client_.Take(std::move(delivery));
    }
    if (IsEncrypted(sdk::Text(message.payload))) {
      host_.Complete(sdk::Reject(message.token, sdk::Code::kUnimplemented,
                                 "flat: an encrypted payload has no flat form"));
      return true;
    }
    FlatFacts facts;
    if (!KindOf(message, &facts.kind)) {
      host_.Complete(sdk::Reject(message.token, sdk::Code::kUnimplemented,
                                 "flat: only detections, health reports and registrations have a "
                                 "flat form"));
      return true;
    }
    facts.message_id = sdk::Text(message.message_id);
    facts.device_id = sdk::Text(message.device_id);
    facts.timestamp_ns = message.timestamp_ns;
    delivery.path = FlatPath(facts.kind);
    delivery.body = FlatBody(sdk::Text(message.payload), facts);
    return client_.Take(std::move(delivery));
  }

  // False: a server of the older kind knows no such message.
  static bool KindOf(const vd_message& message, FlatKind* kind) {
    if (message.data_type == VD_DATA_DETECTION) {
      *kind = FlatKind::kDetection;
    } else if (message.data_type == VD_DATA_HEALTH) {
      *kind = FlatKind::kHealth;
    } else {
      *kind = FlatKind::kRegistration;
      return message.data_type == VD_DATA_CONFIG && IsRegistration(sdk::Text(message.payload));
    }
    return true;
  }

  const Host host_;
  const bool flat_;
  HttpClient client_;
};

class Rest final : public ListenerOrRoad<sdk::Deliver, ServerRole, ClientRole> {
 public:
  using ListenerOrRoad::ListenerOrRoad;

  Status Configure(const sdk::Config& config) override {
    VIADUCT_RETURN_IF_ERROR(ReadConfig(config, [this](std::string_view json, OptionsError* error) {
      return ReadOptions(json, &options_, error);
    }));
    if (options_.is_server && !host().has_call())
      return sdk::FailedPrecondition("host: does not offer " VD_HOST_CALL_1);
    if (!options_.is_server) {
      road_ = std::make_unique<ClientRole>(host(), options_.client);
      return {};
    }
    listener_ = std::make_unique<ServerRole>(host(), options_);
    return listener_->AddMetrics();
  }
  bool Offers(std::string_view id) const override {
    return options_.is_server == (id == VD_CALL_1);
  }

  void OnReply(const vd_reply& reply) override { listener_->OnReply(reply); }

 private:
  Options options_;
};

}  // namespace
}  // namespace viaduct::rest

VIADUCT_PLUGIN(viaduct::rest::Rest, viaduct::sdk::Describe("rest", "1.0.0")
                                        .Summary("HTTP/1.1 with JSON: listener and road")
                                        .Licence("Apache-2.0")
                                        .Schema(rest_config_schema))
