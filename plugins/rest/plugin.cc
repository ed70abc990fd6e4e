// The rest plugin: the only file here that knows the plugin ABI.
#include "viaduct/cpp/plugin.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "plugins/common/http_call.h"
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

sdk::Code CodeOf(const absl::Status& status) { return static_cast<sdk::Code>(status.raw_code()); }

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
    VIADUCT_RETURN_IF_ERROR(host_.AddCounter("received_bytes", "Octets received", &bytes_in_));
    return host_.AddCounter("sent_bytes", "Octets sent", &bytes_out_);
  }

  Status Start() {
    const absl::Status status = server_.Start();
    if (!status.ok()) return Status(CodeOf(status), std::string(status.message()));
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
    Grow(bytes_in_, stats.bytes_in, &last_bytes_in_);
    Grow(bytes_out_, stats.bytes_out, &last_bytes_out_);
    uint64_t timer = 0;
    // Refused only when stop has begun, and then there is nothing more to say.
    static_cast<void>(
        host_.StartTimer<&ServerRole::PublishStats>(0, kStatsIntervalNs, this, &timer).ok());
  }

 private:
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
  sdk::Metric connections_, requests_, refused_, timed_out_, bytes_in_, bytes_out_;
  uint64_t last_requests_ = 0, last_refused_ = 0, last_timed_out_ = 0, last_bytes_in_ = 0,
           last_bytes_out_ = 0;
};

vd_completion ToCompletion(const DeliveryResult& result) {
  const absl::string_view message = result.status.message();
  const std::string_view detail(message.data(), message.size());
  switch (result.outcome) {
    case DeliveryOutcome::kDurable:
      return sdk::Durable(result.token, result.duplicate);
    case DeliveryOutcome::kReject:
      return sdk::Reject(result.token, CodeOf(result.status), detail);
    case DeliveryOutcome::kCancelled:
      return sdk::Cancelled(result.token);
    case DeliveryOutcome::kRetry:
      break;
  }
  return sdk::Retry(result.token, CodeOf(result.status), detail,
                    absl::ToInt64Nanoseconds(result.retry_after));
}

// The road: each message is carried to the server.
class ClientRole {
 public:
  ClientRole(const Host& host, const HttpClientOptions& options)
      : host_(host),
        flat_(options.flat),
        client_(
            options, [this](absl::Span<const DeliveryResult> results) { Complete(results); },
            [this](const std::string& problem) {
              host_.SetHealth(problem.empty() ? sdk::Health::kHealthy : sdk::Health::kUnhealthy,
                              problem);
            }) {}

  void Start() {
    client_.Start();
    host_.SetHealth(sdk::Health::kHealthy);
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

  Status Probe(const vd_probe& probe) {
    const int64_t left = std::max<int64_t>(probe.deadline_ns - host_.MonotonicNs(), 0);
    const bool begun = client_.Probe(
        absl::Nanoseconds(left), [host = host_, token = probe.token](const ProbeResult& measured) {
          vd_probe_result result = sdk::Record<vd_probe_result>();
          result.token = token;
          result.code = measured.status.raw_code();
          result.round_trip_ns = absl::ToInt64Nanoseconds(measured.round_trip);
          const absl::string_view detail = measured.status.message();
          result.detail = sdk::Str(std::string_view(detail.data(), detail.size()));
          host.ProbeDone(result);
        });
    return begun ? Status() : sdk::ResourceExhausted("probe: one is under way");
  }

 private:
  bool Take(const vd_message& message) {
    Delivery delivery;
    delivery.token = message.token;
    delivery.message_id = std::string(sdk::Text(message.message_id));
    if (!flat_) {
      delivery.body = std::string(sdk::Text(message.envelope));
      return client_.Take(std::move(delivery));
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

  void Complete(absl::Span<const DeliveryResult> results) {
    std::vector<vd_completion> completions;
    completions.reserve(results.size());
    for (const DeliveryResult& result : results) completions.push_back(ToCompletion(result));
    host_.Complete(completions);
  }

  const Host host_;
  const bool flat_;
  HttpClient client_;
};

class Rest final : public sdk::Plugin,
                   public sdk::Deliver,
                   public sdk::CallHandler,
                   public sdk::Prober {
 public:
  using Plugin::Plugin;

  Status Configure(const sdk::Config& config) override {
    std::string json;
    VIADUCT_RETURN_IF_ERROR(config.Json("", &json));
    OptionsError error;
    if (!ReadOptions(json, &options_, &error))
      return sdk::InvalidConfig(error.pointer, error.message);
    if (options_.is_server && !host().has_call())
      return sdk::FailedPrecondition("host: does not offer " VD_HOST_CALL_1);
    if (!options_.is_server) {
      client_ = std::make_unique<ClientRole>(host(), options_.client);
      return {};
    }
    server_ = std::make_unique<ServerRole>(host(), options_);
    return server_->AddMetrics();
  }
  Status Start(uint32_t) override {
    if (server_ != nullptr) return server_->Start();
    client_->Start();
    return {};
  }
  Status Drain(int64_t deadline_ns) override {
    const absl::Duration left =
        absl::Nanoseconds(std::max<int64_t>(deadline_ns - host().MonotonicNs(), 0));
    const bool drained = server_ != nullptr ? server_->Drain(left) : client_->Drain(left);
    return drained ? Status() : sdk::DeadlineExceeded("drain: requests are still under way");
  }
  void Stop() override {
    if (server_ != nullptr) server_->Stop();
    if (client_ != nullptr) client_->Stop();
  }
  bool Offers(std::string_view id) const override {
    return options_.is_server == (id == VD_CALL_1);
  }

  void OnReply(const vd_reply& reply) override { server_->OnReply(reply); }
  uint32_t Credit(uint32_t) override { return client_->Credit(); }
  Status DeliverBatch(uint32_t, const sdk::MessageList& batch, size_t* taken) override {
    client_->Deliver(batch, taken);
    return {};
  }
  void CancelDelivery(uint32_t, const sdk::TokenList& tokens) override { client_->Cancel(tokens); }
  Status Probe(uint32_t, const vd_probe& probe) override { return client_->Probe(probe); }

 private:
  Options options_;
  std::unique_ptr<ServerRole> server_;
  std::unique_ptr<ClientRole> client_;
};

}  // namespace
}  // namespace viaduct::rest

VIADUCT_PLUGIN(viaduct::rest::Rest, viaduct::sdk::Describe("rest", "1.0.0")
                                        .Summary("HTTP/1.1 with JSON: listener and road")
                                        .Licence("Apache-2.0")
                                        .Schema(rest_config_schema))
