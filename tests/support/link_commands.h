// What a link emulator is told: its configuration at the start, commands while it runs, and a
// timeline of commands, all in JSON.
//
// Configuration:
//   {"seed": 7,                          without one: a random one, which is printed
//    "control": "/tmp/x/control.sock",   where commands are taken
//    "timeline": "/tmp/x/timeline.json", played from the start (may be missing)
//    "links": [{"name": "lte", "settings": {...},
//               "ends": [{"namespace": "edge", "device": "lte", "address": "10.77.1.1/30"},
//                        {"namespace": "/proc/7/ns/net", "device": "lte", "address": "..."}]}]}
//
// Commands. Without a link every link is meant, without a direction both.
//   {"do": "set", "link": "lte", "settings": {"loss_percent": 8}}
//   {"do": "cut", "link": "lte", "direction": "up"}     {"do": "heal"}
//   {"do": "stats"}
//   {"do": "play", "timeline": "/tmp/x/timeline.json"}  from now, instead of one that plays
//   {"do": "stop"}                                      the timeline; links stay as they are
//
// A timeline is a list of set, cut and heal, each with the seconds since its start:
//   [{"at": 0, "do": "set", "settings": {...}}, {"at": 12.5, "do": "cut", "link": "lte"}]
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/support/link_settings.h"

namespace viaduct::support {

inline constexpr size_t kMaxLinks = 8;
inline constexpr size_t kMaxLinkNameBytes = 15;  // As of a network device.
inline constexpr size_t kMaxConfigBytes = 1u << 20;
inline constexpr size_t kMaxTimelineBytes = 8u << 20;
inline constexpr size_t kMaxTimelineEntries = 50'000;
inline constexpr double kMaxTimelineSeconds = 7 * 24 * 3600;

struct LinkEnd {
  std::string network_namespace;  // A path, or a name of `ip netns`.
  std::string device;
  std::string address;  // IPv4, dotted.
  int prefix_bits = 0;
};

struct LinkConfig {
  std::string name;
  LinkEnd ends[2];
  LinkSettings settings;
};

struct EmulatorConfig {
  std::optional<uint64_t> seed;
  std::string control_path;
  std::string timeline_path;
  std::vector<LinkConfig> links;
};

struct LinkCommand {
  enum class Kind { kSet, kCut, kHeal, kStats, kPlay, kStop };
  Kind kind = Kind::kStats;
  std::vector<size_t> links;  // Positions in the configuration.
  bool directions[2] = {true, true};
  nlohmann::json settings;  // Of kSet: known to be right.
  std::string timeline_path;
};

struct TimelineEntry {
  int64_t at_ns = 0;
  LinkCommand command;
};

// All of these: INVALID_ARGUMENT says what is wrong and where.
absl::StatusOr<EmulatorConfig> ReadEmulatorConfig(const std::string& path);
absl::StatusOr<EmulatorConfig> ParseEmulatorConfig(std::string_view text);
absl::StatusOr<LinkCommand> ParseLinkCommand(std::string_view line,
                                             const std::vector<LinkConfig>& links);
// In the order of time; of the same time in the order of the file.
absl::StatusOr<std::vector<TimelineEntry>> ReadTimeline(const std::string& path,
                                                        const std::vector<LinkConfig>& links);
absl::StatusOr<std::vector<TimelineEntry>> ParseTimeline(std::string_view text,
                                                         const std::vector<LinkConfig>& links);

}  // namespace viaduct::support
