// What the plugin.cc of every protocol says to the host in the same way. It knows the ABI: nothing
// of a protocol includes it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "plugins/common/delivery.h"
#include "plugins/common/options_error.h"
#include "viaduct/cpp/plugin.h"

namespace viaduct {

inline sdk::Code CodeOf(const absl::Status& status) {
  return static_cast<sdk::Code>(status.raw_code());
}

inline std::string_view TextOf(const absl::Status& status) {
  return std::string_view(status.message().data(), status.message().size());
}

inline sdk::Status SdkStatus(const absl::Status& status) {
  return status.ok() ? sdk::Status() : sdk::Status(CodeOf(status), std::string(TextOf(status)));
}

inline absl::Duration TimeUntil(const sdk::Host& host, int64_t deadline_ns) {
  return absl::Nanoseconds(std::max<int64_t>(deadline_ns - host.MonotonicNs(), 0));
}

// `read(json, &error)` reads the options; false: *error says what is wrong.
template <typename Read>
sdk::Status ReadConfig(const sdk::Config& config, const Read& read) {
  std::string json;
  VIADUCT_RETURN_IF_ERROR(config.Json("", &json));
  OptionsError error;
  return read(json, &error) ? sdk::Status() : sdk::InvalidConfig(error.pointer, error.message);
}

// Gives a road's client what it takes of a batch.
template <typename Client>
void TakeEach(const sdk::MessageList& batch, Client* client, size_t* taken) {
  for (const vd_message& message : batch) {
    Delivery delivery;
    delivery.token = message.token;
    delivery.message_id = std::string(sdk::Text(message.message_id));
    delivery.envelope = std::string(sdk::Text(message.envelope));
    if (!client->Take(std::move(delivery))) return;
    ++*taken;
  }
}

inline vd_completion CompletionOf(const DeliveryResult& result) {
  switch (result.outcome) {
    case DeliveryOutcome::kDurable:
      return sdk::Durable(result.token, result.duplicate);
    case DeliveryOutcome::kReject:
      return sdk::Reject(result.token, CodeOf(result.status), TextOf(result.status));
    case DeliveryOutcome::kCancelled:
      return sdk::Cancelled(result.token);
    case DeliveryOutcome::kRetry:
      break;
  }
  return sdk::Retry(result.token, CodeOf(result.status), TextOf(result.status),
                    absl::ToInt64Nanoseconds(result.retry_after));
}

inline void CompleteAll(const sdk::Host& host, absl::Span<const DeliveryResult> results) {
  std::vector<vd_completion> completions;
  completions.reserve(results.size());
  for (const DeliveryResult& result : results) completions.push_back(CompletionOf(result));
  host.Complete(completions);
}

// Has a road's client measure; the host hears how it ended.
template <typename Client>
sdk::Status BeginProbe(const sdk::Host& host, const vd_probe& probe, Client* client) {
  const bool begun =
      client->Probe(TimeUntil(host, probe.deadline_ns),
                    [host, token = probe.token](const absl::Status& status,
                                                absl::Duration round_trip, const ProbeCost& cost) {
                      vd_probe_result result = sdk::Record<vd_probe_result>();
                      result.token = token;
                      result.code = status.raw_code();
                      result.round_trip_ns = absl::ToInt64Nanoseconds(round_trip);
                      result.bytes_sent = cost.sent;
                      result.bytes_received = cost.received;
                      result.detail = sdk::Str(TextOf(status));
                      host.ProbeDone(result);
                    });
  return begun ? sdk::Status() : sdk::ResourceExhausted("probe: one is under way");
}

// A plugin whose instances are a listener or a road each, as Configure finds it in the config and
// makes one of the two. `Out` is sdk::Deliver, or sdk::Publish where listeners have subscribers.
template <typename Out, typename Listener, typename Road>
class ListenerOrRoad : public sdk::Plugin, public Out, public sdk::CallHandler, public sdk::Prober {
 public:
  using Plugin::Plugin;

  sdk::Status Start(uint32_t) override {
    return listener_ != nullptr ? listener_->Start() : road_->Start();
  }
  sdk::Status Drain(int64_t deadline_ns) override {
    const absl::Duration left = TimeUntil(host(), deadline_ns);
    const bool drained = listener_ != nullptr ? listener_->Drain(left) : road_->Drain(left);
    return drained ? sdk::Status() : sdk::DeadlineExceeded("drain: messages are still under way");
  }
  void Stop() override {
    if (listener_ != nullptr) listener_->Stop();
    if (road_ != nullptr) road_->Stop();
  }

  uint32_t Credit(uint32_t) override { return road_->Credit(); }
  sdk::Status DeliverBatch(uint32_t, const sdk::MessageList& batch, size_t* taken) override {
    road_->Deliver(batch, taken);
    return {};
  }
  void CancelDelivery(uint32_t, const sdk::TokenList& tokens) override { road_->Cancel(tokens); }
  sdk::Status Probe(uint32_t, const vd_probe& probe) override { return road_->Probe(probe); }

 protected:
  std::unique_ptr<Listener> listener_;  // One of the two, after Configure.
  std::unique_ptr<Road> road_;
};

}  // namespace viaduct
