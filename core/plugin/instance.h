// One configured use of a plugin, as the rest of the host sees it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/config/config_view.h"

namespace viaduct {

enum class StartPolicy : uint8_t { kAuto, kManual };
enum class StartFailurePolicy : uint8_t {
  kRetry,  // Shown failed, tried again with back-off.
  kFail,   // The node ends: InstancesOptions::on_fatal is called.
};

struct InstanceSpec {
  std::string name;    // [a-z][a-z0-9_-]{0,63}, unique in the node.
  std::string plugin;  // Name of the plugin.
  // Validated, defaults filled in, secrets resolved. Never null.
  std::shared_ptr<const ConfigView> config;
  // Not empty: shown failed with this reason and never started (the plugin is not installed).
  std::string unavailable_reason;
  StartPolicy start = StartPolicy::kAuto;
  StartFailurePolicy on_start_failure = StartFailurePolicy::kRetry;
  uint32_t lanes = 0;  // 0: as many as the plugin can use, at most InstanceLimits::max_lanes.
};

enum class InstanceState : uint8_t {
  kCreated,
  kConfigured,
  kStarting,
  kStarted,
  kDraining,
  kStopping,
  kStopped,
  kFailed,
};
std::string_view InstanceStateName(InstanceState state);  // "created", ...

// What the plugin says of its work, apart from the life cycle.
enum class InstanceHealth : uint8_t { kUnknown, kHealthy, kDegraded, kUnhealthy };
std::string_view InstanceHealthName(InstanceHealth health);

// Cumulative since the instance was made known; they survive restarts.
struct InstanceCounters {
  uint64_t delivered = 0;  // Messages the plugin took.
  uint64_t durable = 0;    // How they ended.
  uint64_t retried = 0;
  uint64_t rejected = 0;
  uint64_t expired = 0;
  uint64_t cancelled = 0;
  uint64_t in_flight = 0;        // Now.
  uint64_t delivered_bytes = 0;  // Of the messages the plugin took.
  uint64_t submitted = 0;        // Messages the plugin handed over.
  uint64_t calls = 0;            // Requests the plugin handed over.
  uint64_t refused = 0;          // Calls of the plugin that were against the rules or over a limit.
  uint64_t unknown_tokens = 0;   // Completions for what the plugin did not hold.
  uint64_t exceptions = 0;       // Exceptions that crossed the boundary.
  uint64_t quarantined = 0;      // Incarnations that hung and were given up.
  uint64_t starts = 0;
};

struct InstanceInfo {
  std::string name;
  std::string plugin;
  std::string plugin_version;
  InstanceState state = InstanceState::kStopped;
  absl::Status reason;  // Why it is kFailed; OK otherwise.
  InstanceHealth health = InstanceHealth::kUnknown;
  std::string health_reason;
  absl::Time since;                                // Of the state.
  uint32_t failures = 0;                           // Failed starts in a row.
  absl::Duration retry_in = absl::ZeroDuration();  // Zero: no start by itself is planned.
  bool link = false;                               // Offers viaduct.deliver/1.
  bool publishes = false;                          // Offers viaduct.publish/1.
  std::vector<std::string> interfaces;
  InstanceCounters counters;
};

// `id` is that of an interface, "viaduct.infer/1".
bool Offers(const InstanceInfo& info, std::string_view id);

// What the rest of the host may use it as: link, publisher, road for files, source, inference.
using InstanceRoles = std::array<bool, 5>;
InstanceRoles RolesOf(const InstanceInfo& info);

// How long the host waits, and how much it takes, per instance.
struct InstanceLimits {
  absl::Duration create_timeout = absl::Seconds(5);
  absl::Duration configure_timeout = absl::Seconds(5);
  absl::Duration start_timeout = absl::Seconds(10);
  absl::Duration stop_timeout = absl::Seconds(10);
  absl::Duration destroy_timeout = absl::Seconds(5);
  absl::Duration drain_timeout = absl::Seconds(10);  // Where the caller gives none.
  absl::Duration drain_grace = absl::Seconds(1);     // For drain to return after its deadline.
  absl::Duration lane_timeout = absl::Seconds(10);   // One call on a lane.
  uint32_t max_lanes = 4;
  uint32_t max_quarantined = 4;  // Hung incarnations of a plugin after which it is not used.

  size_t max_in_flight = 4096;              // Delivered messages without completion.
  size_t max_submits = 4096;                // Submitted messages without on_done.
  size_t max_calls = 4096;                  // Calls without reply, in each direction.
  uint64_t max_inbound_bytes = 256u << 20;  // Submits and calls in flight.
  uint64_t max_buffer_bytes = 256u << 20;
  size_t max_tasks = 16384;  // Posted and armed, of all lanes.
  size_t max_jobs = 256;     // Files, probes and inferences without an end.
  size_t max_frames = 8;     // Pushed frames without an end.
  uint64_t max_frame_bytes = 128u << 20;
  size_t max_log_burst = 1000;          // Log records at once,
  double max_logs_per_second = 200;     // and over time.
  size_t max_attributes = 256;          // Of one call, message or record.
  uint64_t max_text_bytes = 64u << 10;  // Paths, names, attributes of one call together.
  uint64_t max_body_bytes = 64u << 20;  // Of one call or message.
};

}  // namespace viaduct
