// A node's configuration as the rest of the program sees it: typed, complete, with absolute paths.
// docs/CONFIG.md says what each key means; node.schema.json has the limits and defaults.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "core/config/config_view.h"
#include "core/observe/log.h"
#include "core/observe/log_hub.h"

namespace viaduct {

struct NodeOptions {
  std::string id;        // edge_device_id of this node.
  std::string data_dir;  // All state is below it.
  std::string timezone_name = "UTC";
  absl::TimeZone timezone = absl::UTCTimeZone();  // What a timestamp without a zone means.
  bool sink_uplink = false;                       // Accepted messages go to spool and gateway.
  bool sink_store = false;                        // Accepted messages go to the store.
};

struct ControlTcpOptions {
  std::string listen;  // "127.0.0.1:9443", "[::1]:9443"
  std::string certificate;
  std::string key;
  std::string client_ca;
};

struct ControlOptions {
  std::string socket;  // Absolute path.
  std::optional<ControlTcpOptions> tcp;
};

struct LogOptions {
  LogFormat format = LogFormat::kJson;
  LogLevel level = LogLevel::kInfo;
  std::vector<std::pair<std::string, LogLevel>> levels;  // By component.
};

enum class InstanceStart : uint8_t { kAuto, kManual };
enum class StartFailure : uint8_t {
  kRetry,  // Again and again with back-off.
  kFail,   // The node exits.
};

struct InstanceOptions {
  std::string name;
  std::string plugin;
  InstanceStart start = InstanceStart::kAuto;
  StartFailure on_start_failure = StartFailure::kRetry;
  bool link_metered = false;
  double link_cost_per_mb = 0;
  // What the plugin gets. Never null.
  std::shared_ptr<const ConfigView> config;
  // The same for people, as JSON: references instead of what they stand for, secrets redacted.
  std::string redacted_json;
  // Not empty: the plugin is not installed or its schema is unusable. The config is unchecked then;
  // show the instance as failed with this reason and do not start it.
  std::string unavailable_reason;
};

enum class SpoolFull : uint8_t { kRejectNew, kDropOldestLowPriority };

struct SpoolOptionsConfig {
  std::string path;  // Absolute.
  uint64_t max_bytes = 0;
  uint64_t max_messages = 0;
  uint64_t min_free_bytes = 0;
  SpoolFull when_full = SpoolFull::kRejectNew;
  double dead_letter_share = 0;
  bool encrypt = false;
  // By data type; infinite where the configuration names none.
  absl::Duration detection_time_to_live = absl::InfiniteDuration();
  absl::Duration health_time_to_live = absl::InfiniteDuration();
  absl::Duration config_time_to_live = absl::InfiniteDuration();
  absl::Duration control_time_to_live = absl::InfiniteDuration();
};

struct PostgresOptionsConfig {
  std::string url;
  std::string host;
  uint32_t port = 0;  // 0: not given; so are the texts that are empty.
  std::string database;
  std::string user;
  std::string password;
  std::string ssl_mode;
  std::string ssl_ca;  // Absolute, as the others.
  std::string ssl_certificate;
  std::string ssl_key;
  uint32_t pool_size = 0;
  absl::Duration connect_timeout;
};

struct StoreOptionsConfig {
  std::string sqlite_path;  // Absolute.
  std::string images;       // Absolute folder.
  bool encrypt_images = false;
  std::optional<PostgresOptionsConfig> postgresql;  // Given: used in place of SQLite.
};

struct RetryOptions {
  absl::Duration initial_delay;
  absl::Duration max_delay;
  double multiplier = 2;
  double jitter = 0.2;
};

enum class SelectionStrategy : uint8_t {
  kAdaptive,
  kSizePriority,
  kConnectivityScore,
  kRoundRobin
};

struct GatewayOptions {
  uint32_t window = 0;  // Unacknowledged messages per link.
  uint32_t batch = 0;
  RetryOptions retry;
  uint32_t max_rejects = 0;
  struct Selection {
    SelectionStrategy strategy = SelectionStrategy::kAdaptive;
    bool auto_select = true;
    bool priority_based = true;
    bool network_aware = true;
  } selection;
  struct Fallback {
    bool enabled = true;
    uint32_t max_attempts = 3;
    std::map<std::string, std::vector<std::string>, std::less<>> order;  // By instance or plugin.
  } fallback;
  struct Probe {
    bool enabled = true;
    absl::Duration interval;
    absl::Duration retry_interval;
    absl::Duration timeout;
  } probe;
  uint32_t breaker_failures = 0;
  struct RetryBudget {
    double share = 0;
    double per_second = 0;
  } retry_budget;
  double hedged_share = 0;
  struct Backlog {
    absl::Duration after;
    double per_second = 0;  // 0: no limit.
  } backlog;
  std::array<bool, 4> ordered{};  // By DataType.
  // Between two reports to the server of how the roads are; zero: none is made.
  absl::Duration report_interval = absl::ZeroDuration();
};

struct LimitOptions {
  uint64_t max_message_bytes = 0;  // One envelope or request body.
  absl::Duration start_timeout;
  absl::Duration drain_timeout;
};

struct NodeConfig {
  NodeOptions node;
  ControlOptions control;
  LogOptions log;
  std::vector<std::string> plugin_path;  // Searched in order.
  std::vector<InstanceOptions> instances;
  SpoolOptionsConfig spool;
  StoreOptionsConfig store;
  GatewayOptions gateway;
  LimitOptions limits;
  // The whole document as canonical JSON with defaults, secrets included, except the instances'
  // configs: what Plan compares. Never shown.
  std::string sections_json;
};

}  // namespace viaduct
