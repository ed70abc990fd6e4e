#include "core/config/dashboard_options.h"

#include <nlohmann/json.hpp>

#include "core/config/members.h"

namespace viaduct {

DashboardOptionsConfig ReadDashboardOptions(const NodeConfig& config) {
  const nlohmann::json section = members::SectionOf(config, "dashboard");
  DashboardOptionsConfig options;
  options.enabled = members::Flag(section, "enabled");
  options.path = members::FileBelow(config.node.data_dir, section, "path");
  return options;
}

}  // namespace viaduct
