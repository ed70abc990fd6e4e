// The only file that knows the host: options, wiring, and how the protocol's words are told.
#include "viaduct/cpp/plugin.h"

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client.h"
#include "line_json_config_schema.h"
#include "options.h"

namespace line_json {
namespace {

using viaduct::sdk::Code;
using viaduct::sdk::Config;
using viaduct::sdk::Health;
using viaduct::sdk::MessageList;
using viaduct::sdk::Status;
using viaduct::sdk::Text;
using viaduct::sdk::TokenList;

vd_completion ToCompletion(const Result& result) {
  switch (result.verdict) {
    case Verdict::kStored:
      return viaduct::sdk::Durable(result.token);
    case Verdict::kDuplicate:
      return viaduct::sdk::Durable(result.token, true);
    case Verdict::kReject:
      return viaduct::sdk::Reject(result.token, Code::kInvalidArgument, result.detail);
    case Verdict::kCancelled:
      return viaduct::sdk::Cancelled(result.token);
    case Verdict::kRetry:
      break;
  }
  return viaduct::sdk::Retry(result.token, Code::kUnavailable, result.detail,
                             result.retry_after_ns);
}

class LineJson final : public viaduct::sdk::Plugin, public viaduct::sdk::Deliver {
 public:
  using Plugin::Plugin;

  Status Configure(const Config& config) override {
    viaduct::sdk::ConfigReader read(config);
    read.Required("/host", &options_.host)
        .Required("/port", &options_.port)
        .Required("/window", &options_.window)
        .Required("/connect_timeout_ms", &options_.connect_timeout_ms)
        .Required("/answer_timeout_ms", &options_.answer_timeout_ms);
    VIADUCT_RETURN_IF_ERROR(read.status());
    // What a schema can not say.
    if (options_.host.find_first_of(" \t/") != std::string::npos) {
      return viaduct::sdk::InvalidConfig("/host",
                                         "host: \"" + options_.host + "\" is no host name");
    }
    VIADUCT_RETURN_IF_ERROR(
        host().AddCounter("messages_sent", "Messages handed to the peer.", &sent_));
    VIADUCT_RETURN_IF_ERROR(
        host().AddCounter("messages_stored", "Messages that the peer confirmed.", &stored_));
    return host().AddGauge("connections_open", "Connections to the peer.", &connections_);
  }

  Status Start(uint32_t) override {
    client_ = std::make_unique<Client>(
        options_, Client::Events{[this](const std::vector<Result>& results) { OnResults(results); },
                                 [this](bool up, const std::string& why) { OnLink(up, why); }});
    std::string why;
    if (!client_->Start(&why)) {
      client_.reset();
      return viaduct::sdk::Unavailable("line_json: can not start, " + why);
    }
    return {};
  }

  Status Drain(int64_t deadline_ns) override {
    const std::chrono::nanoseconds limit(deadline_ns - host().MonotonicNs());
    if (client_->AwaitIdle(limit)) return {};
    return viaduct::sdk::DeadlineExceeded("line_json: the peer still owes answers");
  }

  // The client itself stays: Credit may still be asked while this runs.
  void Stop() override { client_->Stop(); }

  uint32_t Credit(uint32_t) override { return client_->Credit(); }

  Status DeliverBatch(uint32_t, const MessageList& batch, size_t* taken) override {
    for (const vd_message& message : batch) {
      if (!client_->Send(message.token, Text(message.envelope))) break;
      ++*taken;
    }
    if (*taken > 0) client_->Flush();
    sent_.Increase(static_cast<double>(*taken));
    return {};
  }

  void CancelDelivery(uint32_t, const TokenList& tokens) override {
    for (const uint64_t token : tokens) client_->Cancel(token);
  }

 private:
  void OnResults(const std::vector<Result>& results) {
    std::vector<vd_completion> completions;
    completions.reserve(results.size());
    for (const Result& result : results) {
      completions.push_back(ToCompletion(result));
      if (completions.back().outcome == VD_OUTCOME_DURABLE) stored_.Increase();
    }
    host().Complete(completions);
  }

  void OnLink(bool up, const std::string& why) {
    connections_.Set(up ? 1 : 0);
    if (up) {
      host().SetHealth(Health::kHealthy);
    } else {
      host().SetHealth(Health::kUnhealthy, why);
    }
  }

  Options options_;
  viaduct::sdk::Metric sent_;
  viaduct::sdk::Metric stored_;
  viaduct::sdk::Metric connections_;
  std::unique_ptr<Client> client_;
};

}  // namespace
}  // namespace line_json

VIADUCT_PLUGIN(line_json::LineJson,
               viaduct::sdk::Describe("line_json", "1.0.0")
                   .Summary("Messages as lines of JSON over TCP, each answered by a line")
                   .Licence("Apache-2.0")
                   .Schema(line_json_config_schema))
