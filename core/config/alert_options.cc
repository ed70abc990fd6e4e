#include "core/config/alert_options.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/config/units.h"

namespace viaduct {
namespace {

using nlohmann::json;

absl::Duration TimeIn(const json& section, const char* key) {
  return ParseDuration(section.value(key, "")).value_or(absl::ZeroDuration());
}

// A number, or a duration as seconds; `absent` where the schema has no such key.
double ValueIn(const json& rule, const char* key, double absent) {
  const json value = rule.value(key, json());
  if (value.is_number()) return value.get<double>();
  return value.is_string() ? absl::ToDoubleSeconds(TimeIn(rule, key)) : absent;
}

WebhookOptions ReadWebhook(const json& section, const std::string& data_dir) {
  WebhookOptions webhook;
  webhook.url = section.value("url", "");
  webhook.token = section.value("token", "");
  webhook.ca_file = section.value("ca_file", "");
  if (!webhook.ca_file.empty() && webhook.ca_file[0] != '/') {
    webhook.ca_file = absl::StrCat(data_dir, "/", webhook.ca_file);
  }
  webhook.timeout = TimeIn(section, "timeout");
  return webhook;
}

}  // namespace

AlertOptions ReadAlertOptions(const NodeConfig& config) {
  AlertOptions options;
  // Checked against the schema, with the defaults filled in.
  const json sections = json::parse(config.sections_json, nullptr, /*allow_exceptions=*/false);
  const json alerts = sections.is_object() ? sections.value("alerts", json()) : json();
  const bool enabled = alerts.is_object() && alerts.value("enabled", false);
  for (size_t i = 0; i < kAlertKinds; ++i) {
    AlertRule& rule = options.rules[i];
    const std::string name(AlertKindName(static_cast<AlertKind>(i)));
    const json section = enabled ? alerts.value(name, json::object()) : json::object();
    rule.enabled = section.value("enabled", false);
    rule.raise = ValueIn(section, "raise", rule.raise);
    rule.clear = ValueIn(section, "clear", rule.clear);
    rule.hold = TimeIn(section, "hold");
    rule.clear_hold = TimeIn(section, "clear_hold");
  }
  if (!enabled) return options;
  const json errors = alerts.value("link_errors", json::object());
  options.error_window = TimeIn(errors, "window");
  options.min_messages = errors.value("min_messages", uint64_t{1});
  if (alerts.contains("webhook") && alerts["webhook"].is_object()) {
    options.webhook = ReadWebhook(alerts["webhook"], config.node.data_dir);
  }
  return options;
}

}  // namespace viaduct
