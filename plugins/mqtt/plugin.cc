// The mqtt plugin: the only file here that knows the plugin ABI.
#include "viaduct/cpp/plugin.h"

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "mqtt_config_schema.h"
#include "plugins/common/plugin_wiring.h"
#include "plugins/mqtt/acks.h"
#include "plugins/mqtt/options.h"
#include "plugins/mqtt/publisher.h"
#include "plugins/mqtt/subscriber.h"
#include "plugins/mqtt/topics.h"

namespace viaduct::mqtt {
namespace {

using sdk::Host;
using sdk::Status;

constexpr int64_t kStatsIntervalNs = 2'000'000'000;
constexpr std::string_view kControlTopic = "system/control/";

// Not now: the same message may be taken later. 501 says that it never will.
bool IsLater(int status) {
  return status == 408 || status == 425 || status == 429 || (status >= 500 && status != 501);
}

// What the application wants published in answer: each attribute "publish" is a topic; its payload
// is the body, or the "publish-body" that follows.
std::vector<Publication> PublicationsOf(const vd_reply& reply) {
  std::vector<Publication> out;
  for (uint64_t i = 0; i < reply.attribute_count; ++i) {
    const std::string_view name = sdk::Text(reply.attributes[i].name);
    const std::string_view value = sdk::Text(reply.attributes[i].value);
    if (name == "publish") {
      out.emplace_back();
      out.back().topic = std::string(value);
      out.back().payload = std::string(sdk::Text(reply.body));
      out.back().qos = QosOf(value);
    } else if (name == "publish-body" && !out.empty()) {
      out.back().payload = std::string(value);
    }
  }
  return out;
}

// Hands an arrival to the application as a call.
Status CallWith(const Host& host, const std::string& peer, uint64_t ticket,
                const Arrival& arrival) {
  const std::string qos = std::to_string(arrival.qos);
  std::vector<vd_attr> attributes = {sdk::Attr("qos", qos)};
  if (arrival.retain) attributes.push_back(sdk::Attr("retain", "1"));
  vd_call call = sdk::Record<vd_call>();
  call.token = ticket;
  call.protocol = sdk::Str("mqtt");
  call.method = sdk::Str("PUBLISH");
  call.path = sdk::Str(arrival.topic);
  call.body = sdk::Octets(arrival.payload);
  call.peer = sdk::Str(peer);
  call.attributes = attributes.data();
  call.attribute_count = attributes.size();
  return host.Call(call);
}

// The server's end: every arrival is a call to the application.
class ServerRole {
 public:
  ServerRole(const Host& host, const SubscriberOptions& options)
      : host_(host),
        peer_(absl::StrCat("mqtt:", options.session.broker.host, ":", options.session.broker.port)),
        subscriber_(options, MakeEvents()) {}

  const Host& host() const { return host_; }

  Status AddMetrics() {
    VIADUCT_RETURN_IF_ERROR(host_.AddCounter("arrivals_total", "Messages received", &arrivals_));
    VIADUCT_RETURN_IF_ERROR(host_.AddCounter(
        "refused_total", "Messages larger than the node takes, dropped", &refused_));
    VIADUCT_RETURN_IF_ERROR(host_.AddCounter(
        "delayed_total", "Times that a message could not be stored at once", &delayed_));
    VIADUCT_RETURN_IF_ERROR(
        host_.AddCounter("dropped_total", "Messages of QoS 0 that could not be stored", &dropped_));
    VIADUCT_RETURN_IF_ERROR(host_.AddCounter(
        "stray_responses_total",
        "Answers to commands that this node did not give or no longer waits for", &strays_));
    return host_.AddCounter("groups_total", "Groups acknowledged to the broker together", &groups_);
  }

  Status Start() {
    host_.SetHealth(sdk::Health::kUnhealthy, "connecting to the broker");
    const absl::Status status = subscriber_.Start();
    if (!status.ok()) return SdkStatus(status);
    PublishStats();
    return {};
  }
  bool Drain(absl::Duration timeout) { return subscriber_.Drain(timeout); }
  void Stop() { subscriber_.Stop(); }

  void OnReply(const vd_reply& reply) {
    Answer answer;
    answer.ticket = reply.token;
    answer.later = IsLater(reply.status);
    if (answer.later) {
      answer.reason = std::string(sdk::Text(reply.body).substr(0, kMaxReasonBytes));
    } else {
      answer.publications = PublicationsOf(reply);
    }
    subscriber_.SetAnswer(std::move(answer));
  }

  // A publication to the topic in `path`, or a command to the device `peer`, which answers.
  Status OnCall(const vd_call& call) {
    const std::string_view topic = sdk::Text(call.path);
    Order order;
    order.token = call.token;
    order.wants_response = sdk::Text(call.method) != "PUBLISH";
    order.publication.topic =
        topic.find('/') != std::string_view::npos
            ? std::string(topic)
            : absl::StrCat(AbslText(kControlTopic), AbslText(sdk::Text(call.peer)));
    order.publication.payload = std::string(sdk::Text(call.body));
    const auto attribute = [&](std::string_view name) {
      return sdk::FindAttr(call.attributes, call.attribute_count, name);
    };
    order.publication.retain = attribute("retain") == "1";
    order.publication.qos = QosOf(order.publication.topic);
    const std::string_view qos = attribute("qos");
    if (qos == "0" || qos == "1" || qos == "2") order.publication.qos = qos.front() - '0';
    if (order.wants_response) {
      order.message_id = ReadMessageId(order.publication.payload);
      order.publication.expiry_s = SecondsUntil(call.deadline_ns);
    }
    return SdkStatus(subscriber_.Place(std::move(order)));
  }
  void OnCallCancel(uint64_t token) { subscriber_.CancelOrder(token); }

  // Every kStatsIntervalNs, on the lane.
  void PublishStats() {
    const SubscriberStats now = subscriber_.stats();
    arrivals_.Increase(static_cast<double>(now.arrivals - last_.arrivals));
    refused_.Increase(static_cast<double>(now.refused - last_.refused));
    delayed_.Increase(static_cast<double>(now.delayed - last_.delayed));
    dropped_.Increase(static_cast<double>(now.dropped - last_.dropped));
    groups_.Increase(static_cast<double>(now.groups - last_.groups));
    strays_.Increase(static_cast<double>(now.strays - last_.strays));
    last_ = now;
    uint64_t timer = 0;
    // Refused only when stop has begun, and then there is nothing more to say.
    static_cast<void>(
        host_.StartTimer<&ServerRole::PublishStats>(0, kStatsIntervalNs, this, &timer).ok());
  }

 private:
  static constexpr size_t kMaxReasonBytes = 128;
  static constexpr int64_t kMaxExpirySeconds = 24 * 3600;

  // At least one: none would be for ever.
  uint32_t SecondsUntil(int64_t deadline_ns) const {
    constexpr int64_t kSecondNs = 1'000'000'000;
    const int64_t left = (deadline_ns - host_.MonotonicNs() + kSecondNs - 1) / kSecondNs;
    return static_cast<uint32_t>(std::clamp<int64_t>(left, 1, kMaxExpirySeconds));
  }

  static absl::string_view AbslText(std::string_view text) { return {text.data(), text.size()}; }

  Subscriber::Events MakeEvents() {
    Subscriber::Events events;
    events.ask = [this](const Question& question) { return Ask(question); };
    events.on_ready = [this] { host_.SetHealth(sdk::Health::kHealthy); };
    events.on_ended = [this](const absl::Status& why) { host_.Fail(CodeOf(why), TextOf(why)); };
    events.on_response = [this](uint64_t token, int status, std::string_view body) {
      vd_reply reply = sdk::Record<vd_reply>();
      reply.token = token;
      reply.status = status;
      reply.body = sdk::Octets(body);
      host_.Reply(reply);
    };
    return events;
  }

  AskResult Ask(const Question& question) {
    const Status status = CallWith(host_, peer_, question.ticket, *question.arrival);
    if (status.ok()) return AskResult::kTaken;
    // Stop has begun: it is not to be acknowledged either.
    const bool refused = status.code() == sdk::Code::kInvalidArgument;
    if (refused) {
      host_.Warning("a message is larger than the node takes and was dropped",
                    {sdk::Attr("topic", question.arrival->topic)});
    }
    return refused ? AskResult::kRefused : AskResult::kFull;
  }

  const Host host_;
  const std::string peer_;
  Subscriber subscriber_;
  sdk::Metric arrivals_, refused_, delayed_, dropped_, groups_, strays_;
  SubscriberStats last_;
};

// The road: each message is carried to the server behind the broker; commands come the other way.
class ClientRole {
 public:
  ClientRole(const Host& host, const PublisherOptions& options)
      : host_(host),
        peer_(absl::StrCat("mqtt:", options.session.broker.host, ":", options.session.broker.port)),
        publisher_(options, MakeEvents()) {}

  const Host& host() const { return host_; }

  Status AddMetrics() {
    return host_.AddCounter("dropped_commands_total",
                            "Commands that were retained, too large or one too many", &dropped_);
  }

  Status Start() {
    host_.SetHealth(sdk::Health::kUnhealthy, "connecting to the broker");
    const absl::Status status = publisher_.Start();
    if (!status.ok()) return SdkStatus(status);
    PublishStats();
    return {};
  }
  bool Drain(absl::Duration timeout) { return publisher_.Drain(timeout); }
  void Stop() { publisher_.Stop(); }
  uint32_t Credit() const { return static_cast<uint32_t>(publisher_.credit()); }

  void Deliver(const sdk::MessageList& batch, size_t* taken) {
    TakeEach(batch, &publisher_, taken);
    publisher_.Flush();
  }
  void Cancel(const sdk::TokenList& tokens) { publisher_.Cancel({tokens.begin(), tokens.size()}); }
  void OnReply(const vd_reply& reply) {
    if (reply.token == kUpToken) return publisher_.SayOnline(ReadFacts(sdk::Text(reply.body)));
    publisher_.Answer(reply.token, PublicationsOf(reply));
  }

  Status Probe(const vd_probe& probe) { return BeginProbe(host_, probe, &publisher_); }

  // Every kStatsIntervalNs, on the lane.
  void PublishStats() {
    const uint64_t now = publisher_.dropped_commands();
    dropped_.Increase(static_cast<double>(now - last_dropped_));
    last_dropped_ = now;
    uint64_t timer = 0;
    // Refused only when stop has begun, and then there is nothing more to say.
    static_cast<void>(
        host_.StartTimer<&ClientRole::PublishStats>(0, kStatsIntervalNs, this, &timer).ok());
  }

 private:
  static constexpr uint64_t kUpToken = 0;  // No command's ticket.

  Publisher::Events MakeEvents() {
    Publisher::Events events;
    events.on_done = [this](absl::Span<const DeliveryResult> results) {
      CompleteAll(host_, results);
    };
    events.on_ready = [this] {
      host_.SetHealth(sdk::Health::kHealthy);
      host_.OnRoom(0);
      Introduce();
    };
    events.on_ended = [this](const absl::Status& why) { host_.Fail(CodeOf(why), TextOf(why)); };
    events.on_command = [this](const Command& command) { return Ask(command); };
    events.wall_ns = [this] { return host_.WallNs(); };
    return events;
  }

  // A host that does not say what its node is leaves the server without the word.
  void Introduce() {
    vd_call call = sdk::Record<vd_call>();
    call.token = kUpToken;
    call.protocol = sdk::Str("mqtt");
    call.method = sdk::Str("UP");
    call.peer = sdk::Str(peer_);
    if (!host_.Call(call).ok()) publisher_.SayOnline({});
  }

  absl::Status Ask(const Command& command) {
    const Status status = CallWith(host_, peer_, command.ticket, *command.arrival);
    if (status.ok()) return absl::OkStatus();
    return absl::UnavailableError("call: the node takes none");
  }

  const Host host_;
  const std::string peer_;
  Publisher publisher_;
  sdk::Metric dropped_;
  uint64_t last_dropped_ = 0;
};

std::string HostName() {
  char host_name[256] = {};
  gethostname(host_name, sizeof(host_name) - 1);
  return host_name;
}

class Mqtt final : public ListenerOrRoad<sdk::Deliver, ServerRole, ClientRole> {
 public:
  using ListenerOrRoad::ListenerOrRoad;

  Status Configure(const sdk::Config& config) override {
    VIADUCT_RETURN_IF_ERROR(ReadConfig(config, [this](std::string_view json, OptionsError* error) {
      return ReadOptions(json, HostName(), &options_, error);
    }));
    if (!host().has_call()) return sdk::FailedPrecondition("host: does not offer " VD_HOST_CALL_1);
    if (!options_.is_server) {
      road_ = std::make_unique<ClientRole>(host(), options_.client);
      return road_->AddMetrics();
    }
    listener_ = std::make_unique<ServerRole>(host(), options_.server);
    return listener_->AddMetrics();
  }
  bool Offers(std::string_view id) const override { return id == VD_CALL_1 || !options_.is_server; }

  void OnReply(const vd_reply& reply) override {
    if (listener_ != nullptr) return listener_->OnReply(reply);
    road_->OnReply(reply);
  }
  Status OnCall(uint32_t, const vd_call& call) override {
    if (listener_ == nullptr) return sdk::Unimplemented("call: an edge node takes none");
    return listener_->OnCall(call);
  }
  void OnCallCancel(uint32_t, uint64_t token) override {
    if (listener_ != nullptr) listener_->OnCallCancel(token);
  }

 private:
  Options options_;
};

}  // namespace
}  // namespace viaduct::mqtt

VIADUCT_PLUGIN(viaduct::mqtt::Mqtt,
               viaduct::sdk::Describe("mqtt", "1.0.0")
                   .Summary("MQTT 5 and 3.1.1 through a broker: road and listener")
                   .Licence("Apache-2.0")
                   .Schema(mqtt_config_schema))
