// What this node does for the server it sends to: the section "fleet".
#pragma once

#include <string>
#include <vector>

#include "core/config/node_config.h"

namespace viaduct {

struct FleetOptions {
  std::vector<std::string> accept;  // Commands that it carries out.
};

FleetOptions ReadFleetOptions(const NodeConfig& config);

}  // namespace viaduct
