#include "core/config/node_config_reader.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/config/members.h"

namespace viaduct {
namespace {

using nlohmann::json;

using members::At;
using members::Below;
using members::Bytes;
using members::FileBelow;
using members::Flag;
using members::Number;
using members::Real;
using members::Text;
using members::Time;

LogLevel Level(const std::string& name) { return ParseLogLevel(name).value_or(LogLevel::kInfo); }

NodeOptions ReadNode(const json& section, bool store_given, const ConfigEnvironment& environment) {
  NodeOptions node;
  node.id = Text(section, "id");
  if (node.id.empty()) node.id = DefaultNodeId(environment);
  node.data_dir = Text(section, "data_dir");
  node.timezone_name = Text(section, "timezone");
  if (!absl::LoadTimeZone(node.timezone_name, &node.timezone)) node.timezone = absl::UTCTimeZone();
  const json& sinks = At(section, "sinks");
  for (const json& sink : sinks) {
    node.sink_uplink = node.sink_uplink || sink == "uplink";
    node.sink_store = node.sink_store || sink == "store";
  }
  if (sinks.empty()) (store_given ? node.sink_store : node.sink_uplink) = true;
  return node;
}

ControlOptions ReadControl(const json& section, const std::string& data_dir) {
  ControlOptions control;
  control.socket = Below(data_dir, Text(section, "socket"));
  const json& tcp = At(section, "tcp");
  if (tcp.is_object()) {
    control.tcp = ControlTcpOptions{Text(tcp, "listen"), Below(data_dir, Text(tcp, "certificate")),
                                    Below(data_dir, Text(tcp, "key")),
                                    Below(data_dir, Text(tcp, "client_ca"))};
  }
  return control;
}

LogOptions ReadLog(const json& section) {
  LogOptions log;
  log.level = Level(Text(section, "level"));
  log.format = Text(section, "format") == "text" ? LogFormat::kText : LogFormat::kJson;
  for (const auto& [component, level] : At(section, "levels").items()) {
    if (level.is_string()) log.levels.emplace_back(component, Level(level.get<std::string>()));
  }
  return log;
}

std::vector<std::string> ReadPluginPath(const json& section, const ConfigEnvironment& environment) {
  std::vector<std::string> path;
  for (const json& folder : At(section, "path")) {
    if (folder.is_string()) path.push_back(folder.get<std::string>());
  }
  if (!path.empty()) return path;
  const std::string program = environment.ExecutableDir();
  const size_t slash = program.rfind('/');
  if (slash != std::string::npos) path.push_back(program.substr(0, slash) + "/plugins");
  path.push_back("/usr/lib/viaduct/plugins");
  return path;
}

SpoolOptionsConfig ReadSpool(const json& section, const std::string& data_dir) {
  SpoolOptionsConfig spool;
  spool.path = Below(data_dir, Text(section, "path"));
  spool.max_bytes = Bytes(section, "max_bytes");
  spool.max_messages = Number(section, "max_messages");
  spool.min_free_bytes = Bytes(section, "min_free_bytes");
  spool.when_full = Text(section, "when_full") == "reject_new" ? SpoolFull::kRejectNew
                                                               : SpoolFull::kDropOldestLowPriority;
  spool.dead_letter_share = Real(section, "dead_letter_share");
  spool.encrypt = Flag(section, "encrypt");
  const json& live = At(section, "time_to_live");
  const absl::Duration for_ever = absl::InfiniteDuration();
  spool.detection_time_to_live = Time(live, "detection", for_ever);
  spool.health_time_to_live = Time(live, "health", for_ever);
  spool.config_time_to_live = Time(live, "config", for_ever);
  spool.control_time_to_live = Time(live, "control", for_ever);
  return spool;
}

StoreOptionsConfig ReadStore(const json& section, const std::string& data_dir) {
  StoreOptionsConfig store;
  store.sqlite_path = Below(data_dir, Text(At(section, "sqlite"), "path"));
  store.images = Below(data_dir, Text(section, "images"));
  store.encrypt_images = Flag(section, "encrypt_images");
  const json& given = At(section, "postgresql");
  if (!given.is_object()) return store;
  PostgresOptionsConfig& server = store.postgresql.emplace();
  server.url = Text(given, "url");
  server.host = Text(given, "host");
  server.port = Number(given, "port");
  server.database = Text(given, "database");
  server.user = Text(given, "user");
  server.password = Text(given, "password");
  server.ssl_mode = Text(given, "ssl_mode");
  server.ssl_ca = FileBelow(data_dir, given, "ssl_ca");
  server.ssl_certificate = FileBelow(data_dir, given, "ssl_certificate");
  server.ssl_key = FileBelow(data_dir, given, "ssl_key");
  server.pool_size = Number(given, "pool_size");
  server.connect_timeout = Time(given, "connect_timeout");
  return store;
}

SelectionStrategy Strategy(const json& selection) {
  const std::string name = Text(selection, "strategy");
  if (name == "size_priority") return SelectionStrategy::kSizePriority;
  if (name == "connectivity_score") return SelectionStrategy::kConnectivityScore;
  return name == "round_robin" ? SelectionStrategy::kRoundRobin : SelectionStrategy::kAdaptive;
}

GatewayOptions ReadGateway(const json& section) {
  GatewayOptions gateway;
  gateway.window = Number(section, "window");
  gateway.batch = Number(section, "batch");
  gateway.max_rejects = Number(section, "max_rejects");
  const json& retry = At(section, "retry");
  gateway.retry = {Time(retry, "initial_delay"), Time(retry, "max_delay"),
                   Real(retry, "multiplier"), Real(retry, "jitter")};
  const json& selection = At(section, "selection");
  gateway.selection = {Strategy(selection), Flag(selection, "auto_select"),
                       Flag(selection, "priority_based"), Flag(selection, "network_aware")};
  const json& fallback = At(section, "fallback");
  gateway.fallback = {Flag(fallback, "enabled"), Number(fallback, "max_attempts"),
                      At(fallback, "order").get<decltype(gateway.fallback.order)>()};
  const json& probe = At(section, "probe");
  gateway.probe = {Flag(probe, "enabled"), Time(probe, "interval"), Time(probe, "retry_interval"),
                   Time(probe, "timeout")};
  gateway.breaker_failures = Number(At(section, "breaker"), "failures");
  const json& budget = At(section, "retry_budget");
  gateway.retry_budget = {Real(budget, "share"), Real(budget, "per_second")};
  gateway.hedged_share = Real(At(section, "hedging"), "share");
  const json& backlog = At(section, "backlog");
  gateway.backlog = {Time(backlog, "after"), Real(backlog, "rate")};
  gateway.report_interval = Time(At(section, "report"), "interval");
  const json& ordering = At(section, "ordering");
  const auto strict = [&](const char* type) { return Text(ordering, type) == "strict"; };
  gateway.ordered = {strict("detection"), strict("health"), strict("config"), strict("control")};
  return gateway;
}

LimitOptions ReadLimits(const json& section) {
  LimitOptions limits;
  limits.max_message_bytes = Bytes(section, "max_message_bytes");
  limits.start_timeout = Time(section, "start_timeout");
  limits.drain_timeout = Time(section, "drain_timeout");
  return limits;
}

}  // namespace

std::string DefaultNodeId(const ConfigEnvironment& environment) {
  std::string id = environment.Hostname().substr(0, 128);
  for (char& c : id) {
    const bool good = absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_';
    if (!good) c = '-';
  }
  return id.empty() ? "viaduct" : id;
}

ConfigPreview ReadPreview(const json& document, const ConfigEnvironment& environment) {
  ConfigPreview preview;
  preview.data_dir = Text(At(document, "node"), "data_dir");
  if (preview.data_dir.empty()) preview.data_dir = "/var/lib/viaduct";
  preview.plugin_path = ReadPluginPath(At(document, "plugins"), environment);
  preview.log = ReadLog(At(document, "log"));
  return preview;
}

NodeConfig ReadNodeConfig(const json& document, bool store_given,
                          const ConfigEnvironment& environment) {
  NodeConfig config;
  config.node = ReadNode(At(document, "node"), store_given, environment);
  const std::string& data_dir = config.node.data_dir;
  config.control = ReadControl(At(document, "control"), data_dir);
  config.log = ReadLog(At(document, "log"));
  config.plugin_path = ReadPluginPath(At(document, "plugins"), environment);
  config.spool = ReadSpool(At(document, "spool"), data_dir);
  config.store = ReadStore(At(document, "store"), data_dir);
  config.gateway = ReadGateway(At(document, "gateway"));
  config.limits = ReadLimits(At(document, "limits"));
  json sections = document;
  sections.erase("instances");
  // What is a default only after all, so that Plan sees it change.
  sections["node"]["id"] = config.node.id;
  sections["node"]["sinks"] = {config.node.sink_uplink, config.node.sink_store};
  config.sections_json = sections.dump(-1, ' ', false, json::error_handler_t::replace);
  return config;
}

}  // namespace viaduct
