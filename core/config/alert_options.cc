#include "core/config/alert_options.h"

#include <nlohmann/json.hpp>

#include "core/config/members.h"

namespace viaduct {
namespace {

using members::Time;
using nlohmann::json;

// A number, or a duration as seconds; `absent` where the schema has no such key.
double ValueIn(const json& rule, const char* key, double absent) {
  const json value = rule.value(key, json());
  if (value.is_number()) return value.get<double>();
  return value.is_string() ? absl::ToDoubleSeconds(Time(rule, key)) : absent;
}

WebhookOptions ReadWebhook(const json& section, const std::string& data_dir) {
  WebhookOptions webhook;
  webhook.url = section.value("url", "");
  webhook.token = section.value("token", "");
  webhook.ca_file = members::FileBelow(data_dir, section, "ca_file");
  webhook.timeout = Time(section, "timeout");
  return webhook;
}

}  // namespace

AlertOptions ReadAlertOptions(const NodeConfig& config) {
  AlertOptions options;
  const json alerts = members::SectionOf(config, "alerts");
  const bool enabled = alerts.is_object() && alerts.value("enabled", false);
  for (size_t i = 0; i < kAlertKinds; ++i) {
    AlertRule& rule = options.rules[i];
    const std::string name(AlertKindName(static_cast<AlertKind>(i)));
    const json section = enabled ? alerts.value(name, json::object()) : json::object();
    rule.enabled = section.value("enabled", false);
    rule.raise = ValueIn(section, "raise", rule.raise);
    rule.clear = ValueIn(section, "clear", rule.clear);
    rule.hold = Time(section, "hold");
    rule.clear_hold = Time(section, "clear_hold");
  }
  if (!enabled) return options;
  const json errors = alerts.value("link_errors", json::object());
  options.error_window = Time(errors, "window");
  options.min_messages = errors.value("min_messages", uint64_t{1});
  if (alerts.contains("webhook") && alerts["webhook"].is_object()) {
    options.webhook = ReadWebhook(alerts["webhook"], config.node.data_dir);
  }
  return options;
}

}  // namespace viaduct
