// How the roads of a node are: what its pages show of it, and what it tells its server (see
// docs/GATEWAY.md). One form for both, so that a page shows either.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "core/lpr/json_writer.h"

namespace viaduct {

// What the recent_ members of a road are of.
inline constexpr absl::Duration kRecentTraffic = absl::Minutes(5);

struct RoadReport {
  std::string name;
  std::string plugin;
  std::string state;  // "ready", "half_open", "open", "offline", "stopped".
  bool ready = false;
  std::string breaker;
  bool metered = false;
  std::optional<double> share;  // Of what all roads have had confirmed since the node started.
  std::optional<double> recent_share;
  int64_t confirmed = 0;
  std::optional<double> success_rate;  // Of what has ended since the node started.
  std::optional<double> recent_success_rate;
  double latency_p50_ms = 0;
  double latency_p90_ms = 0;
  double latency_p99_ms = 0;
  std::string quality;
  double score = 0;
};

struct RoadSwitchReport {
  absl::Time at = absl::InfinitePast();
  std::string from;  // "" for the first choice.
  std::string to;
  std::string reason;
  std::string why;
};

struct BacklogReport {
  int64_t messages = 0;
  int64_t bytes = 0;
  double oldest_s = 0;
};

struct FileReport {
  std::string id;
  std::string name;
  int64_t size = 0;
  int64_t sent = 0;
  std::string status;
  std::string road;  // "" before it had one.
  absl::Time updated_at = absl::InfinitePast();
};

struct GatewayReport {
  // Of a report; a page of the node itself shows more.
  static constexpr size_t kMaxRoads = 16;
  static constexpr size_t kMaxSwitches = 5;
  static constexpr size_t kMaxFiles = 10;
  static constexpr size_t kMaxNameBytes = 128;  // Longer texts are cut.
  static constexpr size_t kMaxWhyBytes = 160;
  static constexpr size_t kMaxFileNameBytes = 200;
  // Of the payload; one that would be larger says nothing of files and switches.
  static constexpr size_t kMaxBytes = 16u << 10;

  std::vector<RoadReport> links;
  std::vector<RoadSwitchReport> switches;  // The oldest first.
  std::optional<BacklogReport> backlog;
  std::vector<FileReport> files;
  double interval_s = 0;  // Between two reports, in which nothing changes; 0: not known.
};

// "healthy": every road that was not stopped is ready. "error": none is. Else "warning".
std::string_view GatewayStatus(const GatewayReport& report);

// Members "links", "switches" and "backlog" of an open object, and "files".
void WriteRoads(const GatewayReport& report, JsonWriter* json);
void WriteFiles(const std::vector<FileReport>& files, JsonWriter* json);
void WriteFile(const FileReport& file, JsonWriter* json);

// A report as the payload of a health report: within the bounds above, whatever is in it.
std::string GatewayPayload(GatewayReport report, std::string_view node_id, absl::Time now);

// What a payload says that somebody has sent: members of other types than they should have, and
// what is beyond the bounds, are left out. Empty where nothing can be read.
GatewayReport ReadGatewayPayload(std::string_view payload_json);

}  // namespace viaduct
