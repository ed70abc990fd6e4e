// A road to a peer as the dispatcher sees it. core/plugin implements it over viaduct.deliver/1;
// tests implement it directly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/message/envelope.h"

namespace viaduct {

// How one delivery ended. Exactly one per taken message.
enum class Outcome : uint8_t {
  kDurable,    // The peer has confirmed that it is stored.
  kRetry,      // Not now; the host may try again, here or elsewhere.
  kReject,     // Can never succeed; the peer said why.
  kExpired,    // Its deadline passed before the peer confirmed.
  kCancelled,  // The host or a stop took it back.
};
std::string_view OutcomeName(Outcome outcome);

// Borrowed by the link until Deliver returns.
struct OutboundMessage {
  uint64_t token = 0;  // The host's name for this delivery; unique per link while in flight.
  std::string_view message_id;
  std::string_view edge_device_id;
  std::string_view envelope_json;  // Complete, as WriteEnvelope wrote it.
  std::string_view payload_json;   // Its payload member: a slice of envelope_json.
  DataType data_type = DataType::kDetection;
  Priority priority = Priority::kNormal;
  uint32_t attempt = 1;
  int64_t timestamp_ns = 0;           // Capture time, Unix nanoseconds.
  int64_t deadline_monotonic_ns = 0;  // 0: none.
  // An event for subscribers, on a listener: no envelope then, `payload_json` is its body.
  std::string_view event;
  std::string_view route;  // "room:<name>", "session:<id>", "all"
  bool backlog = false;    // It has waited long: what is live should not have to wait for it.
};

struct Completion {
  uint64_t token = 0;
  Outcome outcome = Outcome::kRetry;
  absl::Status status;  // Why, for everything but kDurable.
  absl::Duration retry_after =
      absl::ZeroDuration();  // Asked for by the peer; zero: the host decides.
};

using LinkId = uint32_t;  // Of a membership in the dispatcher, never 0.

// What does not change while a link is there.
struct LinkTraits {
  std::string plugin;      // Behind its instance.
  bool metered = false;    // Traffic costs: no probes, and ordinary messages go elsewhere.
  double cost_per_mb = 0;  // In the operator's own unit.

  friend bool operator==(const LinkTraits& a, const LinkTraits& b) {
    return a.plugin == b.plugin && a.metered == b.metered && a.cost_per_mb == b.cost_per_mb;
  }
};

// Thread-safe.
class Link {
 public:
  virtual ~Link() = default;
  virtual std::string_view name() const = 0;
  // True while the instance behind it is started and not draining.
  virtual bool ready() const = 0;
  // How many more messages the link would take now.
  virtual size_t credit() const = 0;
  // How long the peer may take to confirm, as the link's own options say; zero: they do not.
  virtual absl::Duration confirm_timeout() const { return absl::ZeroDuration(); }
  // Offers messages in order; returns how many were taken (a prefix). What is not taken is not
  // owned. Does not block. Completions may arrive before it returns, on any thread.
  virtual size_t Deliver(absl::Span<const OutboundMessage> batch) = 0;

  using CompletionFn = std::function<void(absl::Span<const Completion>)>;
  using ReadyFn = std::function<void()>;  // Credit or readiness may have grown; call Deliver again.
  // Set before first use, cleared with nullptr. When the call returns no old function is running.
  virtual void SetHandlers(CompletionFn on_complete, ReadyFn on_ready) = 0;
};

}  // namespace viaduct
