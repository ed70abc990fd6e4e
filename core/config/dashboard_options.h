// Where the pages for a browser are: the section "dashboard".
#pragma once

#include <string>

#include "core/config/node_config.h"

namespace viaduct {

struct DashboardOptionsConfig {
  bool enabled = true;
  std::string path;  // "": where they are installed.
};

DashboardOptionsConfig ReadDashboardOptions(const NodeConfig& config);

}  // namespace viaduct
