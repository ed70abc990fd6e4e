// What this node tells of by itself: the section "alerts".
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "core/config/node_config.h"
#include "core/observe/alerts.h"

namespace viaduct {

struct WebhookOptions {
  std::string url;
  std::string token;    // "": none. Never shown.
  std::string ca_file;  // Absolute; "": the authorities of the system.
  absl::Duration timeout;
};

struct AlertOptions {
  AlertRules rules;  // None is enabled where the section is not.
  absl::Duration error_window;
  uint64_t min_messages = 0;  // Fewer in the window say nothing of a link's errors.
  std::optional<WebhookOptions> webhook;
};

AlertOptions ReadAlertOptions(const NodeConfig& config);

}  // namespace viaduct
